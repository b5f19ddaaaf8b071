"""What README.md says is so: every setting with its default, every command, and the programme in it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from PIL import Image

from tests.conftest import Fresh
from tests.support.rows import in_database, rows_of
from web.cli import commands
from web.foundation.sealing import Sealer
from web.loyalty.program import load_program
from web.program_file import create_from_file
from web.settings import PREFIX, Settings, variable_name

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
SETTINGS = {variable_name(field.name): field.default for field in msgspec.structs.fields(Settings)}
ROWS = dict(re.findall(r"^\| `((?:PASITO_)?[A-Z_]+)` \| (?:`(.*?)`|.*?) \|", README, re.MULTILINE))


def written(default: Any) -> str:
    """A default as one would write it into the environment."""
    return str(default).lower() if isinstance(default, bool) else str(default)


def test_every_setting_has_its_row() -> None:
    assert ROWS.keys() == SETTINGS.keys()


@pytest.mark.parametrize("variable", [name for name, default in SETTINGS.items() if default])
def test_a_setting_is_shown_with_its_default(variable: str) -> None:
    assert ROWS[variable] == written(SETTINGS[variable])


def test_no_setting_is_made_up() -> None:
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]\b", README))
    assert named <= SETTINGS.keys()


def leaves(group: click.Group, path: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{path}{name} ")
        else:
            yield f"{path}{name}"


def test_the_commands_are_those_that_there_are() -> None:
    table = README.partition("## Commands")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `([a-z -]+)` \|", table, re.MULTILINE)) == sorted(leaves(commands))


def test_every_command_explains_itself() -> None:
    for path in leaves(commands):
        command: click.Command = commands
        for name in path.split():
            assert isinstance(command, click.Group)
            command = command.commands[name]
        assert command.help, path


def test_the_programme_in_the_readme_can_be_made(
    fresh_database: Fresh, tmp_path: Path, sealer: Sealer
) -> None:
    [block] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    file = tmp_path / "corner.toml"
    file.write_text(block, "utf-8")
    Image.new("RGB", (300, 100), "#1f6f5c").save(tmp_path / "logo.png")
    url = fresh_database("sqlite")
    in_database(url, lambda conn: create_from_file(conn, file, sealer))
    made = in_database(url, lambda conn: load_program(conn, "corner", sealer))
    assert made.settings.texts_in("es").points_name == "Migas"
    assert {"logo", "mark"} <= made.images.keys()
    for table in ("tier", "reward", "location"):
        assert rows_of(url, table, program_id=made.id), table


def test_what_the_plan_of_the_house_names_is_there() -> None:
    plan = README.partition("```\nweb/")[2].partition("```")[0]
    for name in re.findall(r"^  (\w[\w.]*/?) ", plan, re.MULTILINE):
        assert (ROOT / "web" / name).exists(), name
    for name in re.findall(r"^(\w+/?) ", plan, re.MULTILINE):
        assert (ROOT / name).exists(), name
