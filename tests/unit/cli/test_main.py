from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from typer.main import get_command

from llama_stack.cli.failure import Failure, explain
from llama_stack.cli.main import commands
from llama_stack.config import ConfigError, Problem
from llama_stack_api.errors import Overloaded
from tests.unit.cli.conftest import Llama


def test_version(llama: Llama) -> None:
    result = llama("--version")
    assert (result.exit_code, result.stdout.strip()) == (0, version("llama-stack"))


def test_without_a_command_there_is_help_and_a_usage_error(llama: Llama) -> None:
    result = llama()
    assert result.exit_code == 2
    assert "list-providers" in result.output


def test_a_misspelt_command_is_a_usage_error_with_the_nearest(llama: Llama) -> None:
    result = llama("rum")
    assert result.exit_code == 2
    assert "'run'" in result.stderr


def test_an_error_is_one_block_without_a_traceback(llama: Llama) -> None:
    result = llama("config", "check", "startr")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "Did you mean starter?" in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_the_debug_variable_adds_the_traceback(llama: Llama) -> None:
    result = llama("config", "check", "startr", LLAMA_STACK_DEBUG="1")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "Did you mean starter?" in result.stderr


@pytest.mark.parametrize(
    ("error", "what", "remedy"),
    [
        (Failure("what", "do"), "what", "do"),
        (
            ConfigError([Problem("is required", ("server", "port"), 3)], "f.yaml"),
            "1 problem in f.yaml:\n  - server.port (line 3): is required",
            None,
        ),
        (Overloaded("too much"), "too much", None),
        (FileNotFoundError(2, "No such file or directory", "/x"), "/x: No such file or directory", None),
        (
            KeyError("k"),
            "unexpected error: KeyError: 'k'",
            "Set LLAMA_STACK_DEBUG=1 to see where it comes from, and report it",
        ),
    ],
)
def test_every_error_becomes_a_block_for_a_reader(error: Exception, what: str, remedy: str | None) -> None:
    failure = explain(error)
    assert (failure.what, failure.remedy) == (what, remedy)


@pytest.mark.parametrize("arguments", [["--version"], ["list-apis"]])
def test_small_commands_load_no_server(arguments: list[str]) -> None:
    code = (
        "import sys; from llama_stack.cli.main import commands; "
        f"commands()({['stack', *arguments]!r}, standalone_mode=False); "
        "heavy = {'fastapi', 'uvicorn', 'aiohttp', 'sqlalchemy', 'numpy', 'rich', 'structlog'} & set(sys.modules); "
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_the_help_of_every_command_names_its_arguments_and_keeps_no_line_breaks_of_the_source() -> None:
    def walk(command: Any) -> Iterator[Any]:
        inner = getattr(command, "commands", {})
        yield from ([] if inner else [command])
        for each in inner.values():
            yield from walk(each)

    found = list(walk(get_command(commands())))
    assert len(found) > 15
    for command in found:
        assert command.help, command.name
        assert not re.search(r"(?<!\n)\n(?!\n)", command.help), command.name
        for argument in (each for each in command.params if each.param_type_name == "argument"):
            assert argument.metavar == argument.metavar.upper(), (command.name, argument.name)
