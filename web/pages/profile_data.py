"""One's own data: to take away, or to be forgotten. Both need an inbox that was proven within the hour."""

import io
import zipfile

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from web.loyalty.personal_data import certificate, erase_customer, export_data
from web.pages.member import member_of
from web.pages.visitor import AnyRequest


@get("/{slug:str}/profile/data", name="profile_data")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    return member.page("profile/data.html", "profile", fresh=member.is_fresh, error="")


@post("/{slug:str}/profile/data/export", name="profile_export")
async def export(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """Everything kept of this customer: JSON for machines, a page for people, in one file."""
    member = await member_of(request, slug)
    await member.visitor.form()
    if not member.is_fresh:
        return member.redirect("/profile/data")
    parts = await member.site.database.read_slow(export_data, member.program.id, member.customer_id)
    html = member.site.renderer.render(
        "profile/export.html",
        member.language,
        name=member.program.settings.name,
        parts=parts,
    )
    return Response(
        _zip(
            {
                "my-data.json": msgspec.json.format(msgspec.json.encode(parts, enc_hook=str), indent=1),
                "my-data.html": html.encode(),
            }
        ),
        media_type="application/zip",
        headers={
            "content-disposition": f'attachment; filename="{member.program.slug}-my-data.zip"',
            "cache-control": "no-store",
        },
    )


@post("/{slug:str}/profile/data/erase", name="profile_erase")
async def forget(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    posted = await member.visitor.form()
    if not member.is_fresh:
        return member.redirect("/profile/data")
    if "sure" not in posted:
        return member.page("profile/data.html", "profile", 422, fresh=True, error="sure")
    counts = await member.site.database.write(
        erase_customer, member.program.id, member.customer_id, member.site.sealer
    )
    member.site.work_to_do.set()
    member.visitor.log_out()
    return member.visitor.without_copies(
        member.visitor.page("profile/erased.html", certificate=certificate(member.customer_id, counts))
    )


def _zip(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()
