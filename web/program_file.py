"""A programme in a TOML file: what a merchant writes once and a command takes in."""

import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec
from sqlalchemy.engine import Connection

from web.foundation.sealing import Sealer
from web.loyalty.code_pool import load_codes
from web.loyalty.coupon import InvalidCoupon, NewCoupon, add_codes, add_coupon
from web.loyalty.earning_flow import InvalidFlow, NewEarningFlow, add_flow
from web.loyalty.location import InvalidLocation, Location, LocationTaken, add_location
from web.loyalty.multiplier import InvalidMultiplier, NewMultiplier, add_multiplier
from web.loyalty.program import ImageKind, change_program, create_program, set_image
from web.loyalty.program_settings import InvalidProgram, ProgramSettings
from web.loyalty.reward import InvalidReward, NewReward, add_rewards
from web.loyalty.tier import InvalidTier, NewTier, add_tiers
from web.wallet.apple.images import PictureError
from web.wallet.pictures import take_in

Offered = TypeVar("Offered", NewReward, NewCoupon)


class WrittenReward(NewReward, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reward, and the codes of its pool."""

    codes: tuple[str, ...] = ()


class WrittenCoupon(NewCoupon, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A coupon, and the codes of its pool."""

    codes: tuple[str, ...] = ()


class ProgramFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file's contents. Pictures are paths beside the file."""

    slug: str
    settings: ProgramSettings
    logo: str | None = None
    icon: str | None = None
    strip: str | None = None
    hero: str | None = None
    tiers: list[NewTier] = []
    rewards: list[WrittenReward] = []
    coupons: list[WrittenCoupon] = []
    earning_flows: list[NewEarningFlow] = []
    multipliers: list[NewMultiplier] = []
    locations: list[Location] = []


def read_program_file(path: Path) -> ProgramFile:
    """Raises: InvalidProgram, saying where in the file and what to write there."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), ProgramFile)
    except OSError as error:
        raise InvalidProgram([f"{path}: cannot be read ({error.strerror})."]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise InvalidProgram([f"{path}: {error}"]) from error


def create_from_file(conn: Connection, path: Path, sealer: Sealer) -> str:
    """A new programme with everything that its file names. Raises: InvalidProgram, SlugTaken."""
    file = read_program_file(path)
    program_id = create_program(conn, file.slug, file.settings, sealer, _pictures(file, path))
    _add_rules(conn, program_id, file)
    _add_offers(conn, program_id, file)
    try:
        for location in file.locations:
            add_location(conn, program_id, location)
    except LocationTaken as error:
        raise InvalidProgram([f"locations: {error} is there twice."]) from error
    except InvalidLocation as error:
        raise InvalidProgram([f"locations: {error}."]) from error
    return program_id


def _add_rules(conn: Connection, program_id: str, file: ProgramFile) -> None:
    try:
        add_tiers(conn, program_id, file.tiers)
        for flow in file.earning_flows:
            add_flow(conn, program_id, flow)
        for multiplier in file.multipliers:
            add_multiplier(conn, program_id, multiplier)
    except InvalidTier as error:
        raise InvalidProgram([f"tiers: {error}"]) from error
    except InvalidFlow as error:
        raise InvalidProgram([f"earning_flows: {problem}" for problem in error.problems]) from error
    except InvalidMultiplier as error:
        raise InvalidProgram([f"multipliers: {error}"]) from error


def update_from_file(conn: Connection, path: Path) -> None:
    """New settings and pictures for a programme that is there; tiers, rewards and shops stay.

    Raises: InvalidProgram.
    """
    file = read_program_file(path)
    program_id = change_program(conn, file.slug, file.settings)
    for kind, content in _pictures(file, path).items():
        set_image(conn, program_id, kind, content)


def _add_offers(conn: Connection, program_id: str, file: ProgramFile) -> None:
    try:
        rewards = [_without_codes(each, NewReward) for each in file.rewards]
        for reward_id, written in zip(add_rewards(conn, program_id, rewards), file.rewards, strict=True):
            load_codes(conn, program_id, reward_id, written.codes)
        for each in file.coupons:
            coupon_id = add_coupon(conn, program_id, _without_codes(each, NewCoupon))
            add_codes(conn, program_id, coupon_id, each.codes)
    except (InvalidReward, InvalidCoupon) as error:
        raise InvalidProgram(error.problems) from error


def _without_codes(written: WrittenReward | WrittenCoupon, kind: type[Offered]) -> Offered:
    return kind(**{name: getattr(written, name) for name in kind.__struct_fields__})


def _pictures(file: ProgramFile, path: Path) -> dict[ImageKind, bytes]:
    names: dict[ImageKind, str | None] = {
        "logo": file.logo,
        "icon": file.icon,
        "strip": file.strip,
        "hero": file.hero,
    }
    pictures: dict[ImageKind, bytes] = {}
    for kind, name in names.items():
        if name is None:
            continue
        try:
            pictures |= take_in(kind, (path.parent / name).read_bytes())
        except OSError as error:
            raise InvalidProgram([f"{kind}: {name} cannot be read ({error.strerror})."]) from error
        except PictureError as error:
            raise InvalidProgram([f"{kind}: {name}: {error}"]) from error
    return pictures
