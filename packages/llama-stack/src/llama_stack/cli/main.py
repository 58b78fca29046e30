"""`llama stack …`: all commands. Each one imports what it needs when it runs, so that the small ones answer at once."""

from __future__ import annotations

import os
import sys
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
    stack.command("run")(run)
    stack.command("worker")(worker)
    stack.command("migrate")(migrate)
    stack.command("build")(build)
    stack.command("list")(list_distributions)
    stack.command("show")(show)
    stack.command("diff")(diff)
    stack.command("rm")(remove_distributions)
    stack.command("list-apis")(list_apis)
    stack.command("list-providers")(list_providers)
    stack.command("list-deps")(list_deps)
    stack.command("connect")(connect)
    stack.command("doctor")(doctor)
    stack.command("completion")(completion)
    config = _group("Check and show a run config.")
    config.command("check")(config_check)
    config.command("show")(config_show)
    config.command("schema")(config_schema)
    stack.add_typer(config, name="config")
    served = _group("List the models of a running server, or have a provider fetch one.")
    served.info.no_args_is_help = False
    served.callback(invoke_without_command=True)(models)
    served.command("pull")(models_pull)
    stack.add_typer(served, name="models")
    keys = _group("Keys with which clients authenticate.")
    keys.command("new")(keys_new)
    keys.callback()(_no_options)
    stack.add_typer(keys, name="keys")
    llama.add_typer(stack, name="stack")
    llama.callback()(_no_options)
    return llama


def _group(help: str, cls: type[TyperGroup] = TyperGroup) -> typer.Typer:
    return typer.Typer(cls=cls, help=help, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


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
