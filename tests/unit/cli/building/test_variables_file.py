"""The file of variables that a build writes: what others wrote into a config is data in it, never a command."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from llama_stack.cli.building.builder import put_in_place
from llama_stack.cli.building.variables_file import filled_in, variables_text

HOSTILE = (
    "$(touch broken-out)",
    "it's $(touch broken-out)",
    "a\ntouch broken-out",
    "a\r\ntouch broken-out\n",
    "`touch broken-out`; touch broken-out",
    '"; touch broken-out; "',
)


def config_with(text: str) -> str:
    """A run config in which `text` stands wherever it can."""
    entry = {"provider_id": f"x{text}", "provider_type": "remote::x", "config": {text: "${env.A:=" + text + "}"}}
    return yaml.safe_dump({"server": {f"b{text}": "${env.B}"}, "providers": {"inference": [entry]}})


@pytest.mark.parametrize("text", HOSTILE)
def test_a_shell_that_reads_it_executes_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "env"
    file.write_text(variables_text("mine", f"{tmp_path}/en v", config_with(text)))
    done = subprocess.run(
        ["/bin/sh", "-c", f"set -a; . {file}; set +a"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [each.name for each in tmp_path.iterdir()] == ["env"]
    # Also where people take the mark of a comment off a line.
    file.write_text(file.read_text().replace("\n#A=", "\nA="))
    subprocess.run(["/bin/sh", "-c", f". {file}"], cwd=tmp_path, capture_output=True, check=False)
    assert [each.name for each in tmp_path.iterdir()] == ["env"]


def test_what_was_filled_in_stays() -> None:
    text = variables_text("mine", "/d/env", "server: {a: '${env.NEEDED}', b: '${env.PORT:=1}', c: '${env.KEY:=}'}")
    former = "# Must be set.\nNEEDED=s3cret\n#PORT=1\nKEY='a b'\nGONE=9\nEMPTY=\n"
    assert [line for line in filled_in(text, former).splitlines() if line and not line.startswith("# ")] == [
        "NEEDED=s3cret", "KEY='a b'", "#PORT=1", "GONE=9",
    ]  # fmt: skip
    assert filled_in(text, text) == text


def test_only_its_owner_reads_it_and_building_anew_keeps_it(tmp_path: Path) -> None:
    directory = tmp_path / "mine"
    for number in range(2):
        staged = tmp_path / f"staged-{number}"
        (staged / "wheels").mkdir(parents=True)
        for name in ("config.yaml", "env", "requirements.lock", "Containerfile", "compose.yaml", "build.json"):
            (staged / name).write_text("KEY=\n" if name == "env" else "x")
        put_in_place(staged, directory)
        assert (directory / "env").stat().st_mode & 0o777 == 0o600
        (directory / "env").write_text("KEY=s3cret\n")
    assert (directory / "env").read_text() == "KEY=s3cret\n"
