"""Completion: the answers, how light they are, and the scripts in real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from llama_stack.cli.completion import FILES, VARIABLE
from llama_stack.cli.completion.answers import answer, candidates
from llama_stack.cli.completion.scripts import SCRIPTS
from llama_stack.cli.completion.values import provider_types
from llama_stack.cli.main import commands
from llama_stack.config.apis import PROVIDER_APIS
from llama_stack.routing.catalog import Catalog
from llama_stack_api.api import Api
from tests.unit.cli.conftest import Llama

MAIN = "from llama_stack.cli.main import main; main()"


def values(*words: str, home: str = "/nowhere") -> list[str]:
    root = typer.main.get_command(commands())
    return [value for value, _ in candidates(root, list(words), {"HOME": home})]


def test_commands_and_their_commands() -> None:
    assert {"run", "connect", "doctor", "completion", "config"} <= set(values("stack", ""))
    assert values("stack", "conf") == ["config"]
    assert values("stack", "config", "") == ["check", "show", "schema"]
    assert values("") == ["stack"]


def test_options_and_their_values() -> None:
    assert values("stack", "run", "--po") == ["--port"]
    assert "--format" in values("stack", "list-deps", "--")
    assert values("stack", "list-deps", "--format", "") == ["deps-only", "uv"]
    assert values("stack", "completion", "") == ["bash", "zsh", "fish"]
    assert values("stack", "run", "--port", "") == [], "a number has no candidates"
    assert values("stack", "run", "--strict", "sta") == ["starter", FILES], "behind a flag stands an argument"


def test_distributions_those_of_the_user_too(tmp_path: Path) -> None:
    own = tmp_path / ".llama" / "distributions" / "mine"
    own.mkdir(parents=True)
    (own / "config.yaml").write_text("version: 2\n")
    for command in (["run"], ["doctor"], ["config", "check"]):
        found = values("stack", *command, "", home=str(tmp_path))
        assert {"starter", "postgres", "mine", FILES} <= set(found)


def test_apis_and_provider_types() -> None:
    assert values("stack", "list-providers", "saf") == ["safety"]
    assert values("stack", "connect", "c") == ["claude", "codex"]
    assert values("stack", "run", "--providers", "inf") == ["inference="]
    assert values("stack", "run", "--providers", "inference=remote::ollam") == ["inference=remote::ollama"]
    assert values("stack", "build", "mine", "--providers", "inference=ol") == ["inference=ollama"]
    second = values("stack", "list-deps", "--providers", "inference=remote::ollama,vector_io=inline::fa")
    assert second == ["inference=remote::ollama,vector_io=inline::faiss"]


@pytest.mark.parametrize("api", PROVIDER_APIS)
def test_types_read_off_files_are_those_of_the_catalog(api: str) -> None:
    assert {type_ for type_, _ in provider_types(api)} == {found.type for found in Catalog().all(Api(api))}


def test_an_answer_has_a_line_for_each_with_what_it_is() -> None:
    text = answer(typer.main.get_command(commands()), ["stack", "doc"], {"HOME": "/nowhere"})
    assert text.startswith("doctor\tSay what is wrong")
    assert text.count("\n") == 1


def test_behind_two_dashes_nothing_is_ours() -> None:
    assert values("stack", "connect", "codex", "--", "--") == []


def test_an_answer_imports_no_server() -> None:
    code = (
        f"import sys; sys.argv = ['llama', 'stack', 'run', '--providers', 'inference=']; {MAIN}; "
        "heavy = {'fastapi', 'uvicorn', 'aiohttp', 'sqlalchemy', 'numpy', 'rich', 'structlog'} & set(sys.modules); "
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    environ = {**os.environ, VARIABLE: "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "inference=remote::openai\t" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed_alone(llama: Llama, shell: str) -> None:
    result = llama("completion", shell)
    assert (result.exit_code, result.stdout, result.stderr) == (0, SCRIPTS[shell], "")
    assert VARIABLE in result.stdout


def test_another_shell_is_a_usage_error(llama: Llama) -> None:
    assert llama("completion", "tcsh").exit_code == 2


@pytest.fixture
def bin_with_llama(tmp_path: Path) -> Path:
    """A directory with the program alone."""
    program = tmp_path / "bin" / "llama"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{MAIN}" "$@"\n')
    program.chmod(0o755)
    return program.parent


def said_by(shell: str, script: str, bin_with_llama: Path) -> list[str]:
    environ = {"PATH": f"{bin_with_llama}{os.pathsep}{os.environ['PATH']}", "HOME": str(bin_with_llama.parent)}
    command = {"bash": ["bash", "--norc", "-c"], "fish": ["fish", "-N", "-c"], "zsh": ["zsh", "-f", "-c"]}[shell]
    done = subprocess.run(
        [*command, script], env=environ, cwd=bin_with_llama.parent, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


IN_BASH = """
eval "$(llama stack completion bash)"
complete -p llama >/dev/null
COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=(llama); COMP_CWORD=0
_llama_stack_complete
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("llama stack conn", ["connect"]),
        ("llama stack config ", ["check", "show", "schema"]),
        ("llama stack run --stri", ["--strict"]),
        ("llama stack run --providers inference=remote::ollam", ["ollama"]),
        ("llama stack run --providers infer", ["inference="]),
        ("llama stack doctor star", ["starter"]),
        ("llama stack doctor ./my-c", ["./my-config.yaml"]),
    ],
)
def test_in_a_real_bash(bin_with_llama: Path, line: str, replies: list[str]) -> None:
    (bin_with_llama.parent / "my-config.yaml").touch()
    assert said_by("bash", IN_BASH.format(line=line), bin_with_llama) == replies


@pytest.mark.skipif(shutil.which("fish") is None, reason="this machine has no fish")
def test_in_a_real_fish(bin_with_llama: Path) -> None:
    script = "llama stack completion fish | source; complete -C 'llama stack conn'"
    (line,) = said_by("fish", script, bin_with_llama)
    assert line.startswith("connect\tPoint a coding agent")


IN_ZSH = """
compdef() { : }
compadd() { print -r -- "${(@P)argv[-1]}" }
eval "$(llama stack completion zsh)"
words=(llama stack conn); CURRENT=3; PREFIX=conn
_llama_stack_complete
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="this machine has no zsh")
def test_in_a_real_zsh(bin_with_llama: Path) -> None:
    assert said_by("zsh", IN_ZSH, bin_with_llama) == ["connect"]
