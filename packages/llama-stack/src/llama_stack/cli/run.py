"""`run`: from what the user typed to a serving process."""

from __future__ import annotations

import gc
import os
from typing import Annotated

import typer

from llama_stack.cli.own_environment import enter


def run(
    config: Annotated[
        str | None, typer.Argument(metavar="DISTRO|FILE", help="A file, or a distribution's name. Default: starter.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", envvar="LLAMA_STACK_PORT", min=0, max=65535, help="Port to listen on; 0: any free one."
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on, instead of server.host.")
    ] = None,
    providers: Annotated[str | None, typer.Option(metavar="API=PROVIDER,…", help="Instead of a config.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Make probable mistakes, such as unknown keys, errors.")
    ] = False,
    allow_unauthenticated: Annotated[
        bool, typer.Option("--allow-unauthenticated", help="Listen beyond this machine without asking for a key.")
    ] = False,
    no_venv: Annotated[
        bool, typer.Option("--no-venv", help="Run here, although the distribution has an environment of its own.")
    ] = False,
) -> None:
    """Run a server.

    Without an argument it is the starter: it turns on what it finds (keys in the environment, an Ollama or vLLM that
    answers on this machine), and a small model inside the server always answers.
    """
    if not no_venv:
        enter(config, os.environ)
    gc.disable()  # nearly all that a start makes stays: looking for garbage is a tenth of it. See `settle`.
    try:
        from llama_stack.cli.runner.start import Wishes, start

        raise typer.Exit(start(Wishes(config, port, host, providers, strict, allow_unauthenticated)))
    finally:
        gc.enable()
