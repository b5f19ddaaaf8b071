"""Changing what one told: name, the programme's own questions, language."""

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy.engine import Connection

from web.loyalty.customer import Details, change_details, find_details
from web.loyalty.earning_occasions import profile_changed
from web.loyalty.program import Program
from web.pages.about_form import AboutForm, blank_about, read_about, typed_values
from web.pages.member import Member, member_of
from web.pages.site import language_name
from web.pages.visitor import AnyRequest


@get("/{slug:str}/profile/details", name="profile_details")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    details = await member.site.database.read(find_details, member.program.id, member.customer_id)
    return _page(member, _form(member, _typed(member, details)), details.locale)


@post("/{slug:str}/profile/details", name="profile_details_change")
async def change(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    posted = await member.visitor.form()
    typed = typed_values(member.visitor, posted)
    form = _form(member, typed)
    about = read_about(member.visitor, form, typed)
    offered = member.program.settings.languages
    locale = posted.get("locale", [""])[-1]
    if locale not in offered:
        locale = member.standing.locale if member.standing.locale in offered else offered[0]
    if about is None:
        return _page(member, form, locale, 422)
    details = Details(name=about.name, birthday=about.birthday, extra=about.extra, locale=locale)
    await member.site.database.write(_keep, member.program, member.customer_id, details)
    member.visitor.keep_language(locale)
    return member.redirect("/profile?saved=1")


def _keep(conn: Connection, program: Program, customer_id: str, details: Details) -> None:
    change_details(conn, program.id, customer_id, details)
    profile_changed(conn, program, customer_id)


def _form(member: Member, typed: dict[str, Any]) -> AboutForm:
    form = blank_about(member.visitor, typed)
    form.action = f"/{member.program.slug}/profile/details"
    form.consents = []
    return form


def _page(member: Member, form: AboutForm, locale: str, status: int = 200) -> Response[bytes]:
    languages = [{"value": code, "label": language_name(code)} for code in member.program.settings.languages]
    return member.page(
        "profile/details.html",
        "profile",
        status,
        form=msgspec.structs.asdict(form),
        locale=locale,
        locales=languages,
    )


def _typed(member: Member, details: Details) -> dict[str, Any]:
    """What is known, in the shape in which it is typed."""
    typed: dict[str, Any] = {"name": details.name or "", **details.extra}
    for field in member.program.settings.fields:
        if field.kind in ("date", "birthday"):
            value = details.birthday if field.kind == "birthday" else details.extra.get(field.key)
            typed[field.key] = _in_parts(value)
    return typed


def _in_parts(value: str | None) -> dict[str, str]:
    if not value:
        return {"day": "", "month": "", "year": ""}
    year, month, day = ("", *value[2:].split("-")) if value.startswith("--") else value.split("-")
    return {"day": day, "month": month, "year": year}
