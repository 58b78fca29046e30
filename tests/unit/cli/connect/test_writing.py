"""What is written into the files of tools, and how it comes out again."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from llama_stack.cli.connect.target import ConfigFile, Settings
from llama_stack.cli.connect.writing import BACKUP_SUFFIX, undo, write, written_to
from llama_stack.cli.failure import Failure

SETTINGS: Settings = {("env", "ANTHROPIC_BASE_URL"): "http://h", ("model",): "m"}
OWN = '{\n  "model": "mine",\n  "theme": "dark"\n}\n'


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


@pytest.fixture
def file(tmp_path: Path) -> ConfigFile:
    return ConfigFile(tmp_path / "tool" / "settings.json", "json")


def existing(file: ConfigFile, text: str = OWN, mode: int = 0o640) -> None:
    file.path.parent.mkdir()
    file.path.write_text(text)
    file.path.chmod(mode)


def test_a_file_that_is_not_there_is_made_for_its_owner_alone_and_goes_again(
    file: ConfigFile, environ: dict[str, str]
) -> None:
    change = write("tool", file, SETTINGS, environ)
    assert json.loads(file.path.read_text()) == {"env": {"ANTHROPIC_BASE_URL": "http://h"}, "model": "m"}
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert change.backup is None
    assert written_to("tool", environ) == file.path
    undo("tool", "Tool", file, environ)
    assert not file.path.exists()
    assert written_to("tool", environ) is None


def test_what_is_there_is_kept_backed_up_and_put_back(file: ConfigFile, environ: dict[str, str]) -> None:
    existing(file)
    change = write("tool", file, SETTINGS, environ)
    assert json.loads(file.path.read_text())["theme"] == "dark"
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640
    assert change.backup == file.path.with_name(file.path.name + BACKUP_SUFFIX)
    assert change.backup.read_text() == OWN
    assert stat.S_IMODE(change.backup.stat().st_mode) == 0o640
    undo("tool", "Tool", file, environ)
    assert file.path.read_text() == OWN
    assert not change.backup.exists()


def test_writing_twice_changes_nothing_and_the_first_backup_stays(file: ConfigFile, environ: dict[str, str]) -> None:
    existing(file)
    write("tool", file, SETTINGS, environ)
    once = file.path.read_text()
    again = write("tool", file, SETTINGS, environ)
    assert again.diff() == ""
    assert file.path.read_text() == once
    moved = write("tool", file, {**SETTINGS, ("model",): "n"}, environ)
    assert moved.backup is not None
    assert moved.backup.read_text() == OWN
    undo("tool", "Tool", file, environ)
    assert file.path.read_text() == OWN


def test_a_setting_of_an_earlier_write_goes_with_the_next(file: ConfigFile, environ: dict[str, str]) -> None:
    existing(file)
    write("tool", file, {**SETTINGS, ("apiKeyHelper",): "printenv K"}, environ)
    write("tool", file, SETTINGS, environ)
    assert "apiKeyHelper" not in json.loads(file.path.read_text())
    undo("tool", "Tool", file, environ)
    assert file.path.read_text() == OWN


def test_an_undo_leaves_what_was_changed_since(file: ConfigFile, environ: dict[str, str]) -> None:
    existing(file)
    write("tool", file, SETTINGS, environ)
    data = json.loads(file.path.read_text())
    file.path.write_text(json.dumps({**data, "model": "newer", "theme": "light"}))
    change = undo("tool", "Tool", file, environ)
    assert json.loads(file.path.read_text()) == {"model": "newer", "theme": "light"}
    assert change.kept == ("model",)


def test_there_is_nothing_to_undo(file: ConfigFile, environ: dict[str, str]) -> None:
    with pytest.raises(Failure, match="nothing was written for Tool"):
        undo("tool", "Tool", file, environ)


def test_a_link_stays_a_link(tmp_path: Path, file: ConfigFile, environ: dict[str, str]) -> None:
    kept = tmp_path / "dotfiles.json"
    kept.write_text(OWN)
    file.path.parent.mkdir()
    file.path.symlink_to(kept)
    write("tool", file, SETTINGS, environ)
    assert file.path.is_symlink()
    assert json.loads(kept.read_text())["model"] == "m"


def test_a_file_that_cannot_be_edited_stays_as_it_is(file: ConfigFile, environ: dict[str, str]) -> None:
    existing(file, '{\n  // mine\n  "model": "x"\n}\n')
    with pytest.raises(Failure, match="left alone") as failure:
        write("tool", file, SETTINGS, environ)
    assert failure.value.remedy is not None
    assert file.path.read_text().startswith("{\n  // mine")
    assert list(file.path.parent.iterdir()) == [file.path]
    assert written_to("tool", environ) is None


@pytest.mark.parametrize("name", ["ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "apiKey", "experimental_bearer_token"])
def test_a_diff_shows_no_secret(file: ConfigFile, environ: dict[str, str], name: str) -> None:
    existing(file, json.dumps({"env": {name: "sk-of-old"}}, indent=2))
    change = write("tool", file, {("env", name): "sk-of-now"}, environ)
    assert "sk-of" not in change.diff()
    assert '"***"' in change.diff()


def test_a_diff_shows_the_name_of_a_variable(file: ConfigFile, environ: dict[str, str]) -> None:
    assert "{env:MY_KEY}" in write("tool", file, {("apiKey",): "{env:MY_KEY}"}, environ).diff()
