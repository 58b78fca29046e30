"""`llama stack …`: all commands. Each one imports what it needs when it runs, so that the small ones answer at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from inspect import cleandoc
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from llama_stack.cli.building.command import build
from llama_stack.cli.building.differences import diff
from llama_stack.cli.building.listing import list_distributions, remove_distributions, show
from llama_stack.cli.completion import VARIABLE
from llama_stack.cli.completion.command import completion
from llama_stack.cli.configs import config_check, config_schema, config_show
from llama_stack.cli.connect.command import connect
from llama_stack.cli.dependencies import list_deps
from llama_stack.cli.doctor.command import doctor
from llama_stack.cli.failure import report
from llama_stack.cli.keys import keys_new
from llama_stack.cli.lists import list_apis, list_providers
from llama_stack.cli.migrate import migrate
from llama_stack.cli.models import models
from llama_stack.cli.pull import models_pull
from llama_stack.cli.run import run
from llama_stack.cli.worker import worker


class _Boundary(TyperGroup):
    """Where errors end: one readable block and an exit code, no traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, KeyboardInterrupt):
            raise
        except Exception as error:
            if hasattr(error, "exit_code") and hasattr(error, "show"):
                raise  # typer's own, which it shows itself
            raise typer.Exit(report(error)) from None


def commands() -> typer.Typer:
    llama = _group("One server between your application and everything that it needs from AI.", _Boundary)
    stack = _group("Run and inspect a server.")
    stack.callback(invoke_without_command=True)(_stack)
    _add(stack, "run", run)
    _add(stack, "worker", worker)
    _add(stack, "migrate", migrate)
    _add(stack, "build", build)
    _add(stack, "list", list_distributions)
    _add(stack, "show", show)
    _add(stack, "diff", diff)
    _add(stack, "rm", remove_distributions)
    _add(stack, "list-apis", list_apis)
    _add(stack, "list-providers", list_providers)
    _add(stack, "list-deps", list_deps)
    _add(stack, "connect", connect)
    _add(stack, "doctor", doctor)
    _add(stack, "completion", completion)
    config = _group("Check and show a run config.")
    _add(config, "check", config_check)
    _add(config, "show", config_show)
    _add(config, "schema", config_schema)
    stack.add_typer(config, name="config")
    served = _group("List the models of a running server, or have a provider fetch one.")
    served.info.no_args_is_help = False
    served.callback(invoke_without_command=True)(models)
    _add(served, "pull", models_pull)
    stack.add_typer(served, name="models")
    keys = _group("Keys with which clients authenticate.")
    _add(keys, "new", keys_new)
    keys.callback()(_no_options)
    stack.add_typer(keys, name="keys")
    llama.add_typer(stack, name="stack")
    llama.callback()(_no_options)
    return llama


def _group(help: str, cls: type[TyperGroup] = TyperGroup) -> typer.Typer:
    return typer.Typer(cls=cls, help=help, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _add(group: typer.Typer, name: str, command: Callable[..., None]) -> None:
    """Its help is its docstring; typer would keep the line breaks of all paragraphs but the first."""
    paragraphs = cleandoc(command.__doc__ or "").split("\n\n")
    group.command(name, help="\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs))(command)


def _no_options() -> None:
    """A callback keeps a group a group when it has a single command."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("llama-stack"))
        raise typer.Exit


def _stack(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Run and inspect a server."""


def main() -> None:
    if VARIABLE in os.environ:
        from llama_stack.cli.completion.answers import answer

        print(answer(typer.main.get_command(commands()), sys.argv[1:], os.environ), end="")
        return
    commands()(prog_name="llama")
