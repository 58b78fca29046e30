"""`connect`: print a tool's settings, write them, take them out, or run the tool with them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from llama_stack.cli.asking import default_url
from llama_stack.cli.failure import USAGE, Failure

if TYPE_CHECKING:
    from llama_stack.cli.connect.target import Launch, Target, Tool
    from llama_stack.cli.connect.writing import Change

KEY_VARIABLE = "LLAMA_STACK_API_KEY"


def connect(
    tool: Annotated[str | None, typer.Argument(metavar="TOOL", help="codex, claude, opencode, qwen or aider.")] = None,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="-- ARGS", help="Run the tool with these arguments.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="LLAMA_STACK_URL", help="Where the server is; default: this machine."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Default: the first that chats and calls tools.")
    ] = None,
    key_env: Annotated[
        str, typer.Option(metavar="NAME", help="The environment variable that has the server's key.")
    ] = KEY_VARIABLE,
    key_in_file: Annotated[
        bool, typer.Option("--key-in-file", help="Write the key itself, instead of the variable's name.")
    ] = False,
    write: Annotated[bool, typer.Option("--write", help="Write them into the tool's own config file.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take out what --write wrote.")] = False,
    run: Annotated[bool, typer.Option("--run", help="Run the tool with them; no file is changed.")] = False,
    list_tools: Annotated[bool, typer.Option("--list", help="List the tools.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="List them as JSON.")] = False,
) -> None:
    """Point a coding agent at a running server: print its settings, write them, or run it with them."""
    run = run or bool(arguments)
    if list_tools or as_json or tool is None:
        print(_listing(os.environ, as_json=as_json))
        return
    if write + undo + run > 1:
        raise Failure("--write, --undo and --run exclude each other", "Give one of them", exit_code=USAGE)
    found = _find(tool)
    if undo:
        _undo(found)
        return
    program = _program(found) if run else None
    target = _target(url or default_url(os.environ), model, key_env, key_in_file=key_in_file)
    print(f"{found.title} → {target.url}, {target.model.id}", file=sys.stderr)
    if program is not None:
        _run(program, found.launch(target, os.environ[key_env] if target.key else None), arguments or [])
    elif write:
        _write(found, target)
    else:
        _show(found, target)


def _target(url: str, wish: str | None, key_env: str, *, key_in_file: bool) -> Target:
    """What the server says of itself, and the model that is taken."""
    from llama_stack.cli.connect import target
    from llama_stack.cli.connect.server import Server, choose

    key = os.environ.get(key_env)
    server = Server(url, key, key_env)
    models = server.chat_models()
    chosen = choose(server, models, wish)
    needed = target.Key(key_env, key if key_in_file else None) if server.wants_key else None
    return target.Target(server.url, chosen, models, needed, model_is_wish=wish is not None)


def _find(name: str) -> Tool:
    from difflib import get_close_matches

    from llama_stack.cli.connect.tools import known_tools

    tools = {tool.name: tool for tool in known_tools()}
    if name not in tools:
        close = get_close_matches(name, tools)
        hint = f"Did you mean {' or '.join(close)}?" if close else f"There are {', '.join(tools)}"
        raise Failure(f"connect knows no tool {name!r}", hint, exit_code=USAGE)
    return tools[name]


def _program(tool: Tool) -> str:
    program = shutil.which(tool.program)
    if program is None:
        raise Failure(f"{tool.title} is not installed: there is no program `{tool.program}`", tool.install)
    return program


def _show(tool: Tool, target: Target) -> None:
    """The settings on standard output, and nothing else, so that they can be sent to a file; the rest beside it."""
    from llama_stack.cli.connect.documents import rendered

    file = tool.config_file(os.environ)
    if file is None:
        _show_environment(tool, target)
        return
    print(f"Add to {file.path}, or let --write do it:\n", file=sys.stderr)
    print(rendered(file.format, tool.settings(target)), end="", flush=True)
    _remind(target)
    print(f"\nWithout changing a file: llama stack connect {tool.name} --run", file=sys.stderr)


def _show_environment(tool: Tool, target: Target) -> None:
    key = f'"${target.key.variable}"' if target.key else None
    launch = tool.launch(target, key)
    print(f"{tool.title} reads its environment:\n", file=sys.stderr)
    for name, value in launch.environ.items():
        if value is not None:
            print(f"export {name}={value if value == key else shlex.quote(value)}")
    print(shlex.join([tool.program, *launch.arguments]), flush=True)
    _remind(target)
    print(f"\nOr: llama stack connect {tool.name} --run", file=sys.stderr)


def _write(tool: Tool, target: Target) -> None:
    from llama_stack.cli.connect.writing import write

    file = tool.config_file(os.environ)
    if file is None:
        raise Failure(
            f"{tool.title} takes its settings from its environment; there is no file to write",
            f"llama stack connect {tool.name} --run",
        )
    change = write(tool.name, file, tool.settings(target), os.environ)
    _tell(change, f"{change.path} has these settings already.")
    if change.backup and change.before != change.after:
        print(f"\nAs it was: {change.backup}", file=sys.stderr)
    _remind(target)
    print(f"Back: llama stack connect {tool.name} --undo", file=sys.stderr)
    if shutil.which(tool.program) is None:
        print(f"{tool.title} is not installed yet: {tool.install}", file=sys.stderr)


def _undo(tool: Tool) -> None:
    from llama_stack.cli.connect.writing import undo

    file = tool.config_file(os.environ)
    if file is None:
        raise Failure(f"{tool.title} has no file to write, so there is nothing to undo")
    change = undo(tool.name, tool.title, file, os.environ)
    _tell(change, f"{change.path} has none of the settings any more.")
    if change.kept:
        print(f"Left alone, as changed since: {', '.join(change.kept)}", file=sys.stderr)


def _tell(change: Change, nothing_to_do: str) -> None:
    print(change.diff() or nothing_to_do, flush=True)


def _remind(target: Target) -> None:
    if target.key and not target.key.text:
        print(f"\nThe key stays in ${target.key.variable}, which must be set where the tool runs.", file=sys.stderr)


def _run(program: str, launch: Launch, arguments: Sequence[str]) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in launch.environ}
    environ |= {name: value for name, value in launch.environ.items() if value is not None}
    sys.stderr.flush()
    os.execve(program, [program, *launch.arguments, *arguments], environ)  # noqa: S606 — no shell is wanted: the arguments are the user's


def _listing(environ: Mapping[str, str], *, as_json: bool) -> str:
    from llama_stack.cli.connect.tools import known_tools
    from llama_stack.cli.connect.writing import written_to
    from llama_stack.cli.tables import table

    rows, listed = [], []
    for tool in known_tools():
        file, program = tool.config_file(environ), shutil.which(tool.program)
        place = str(file.path) if file else None
        written = written_to(tool.name, environ) is not None
        rows.append(
            (
                tool.name,
                tool.title,
                place or "its environment",
                "yes" if written else "",
                "yes" if program else tool.install,
            )
        )
        listed.append(
            {"tool": tool.name, "title": tool.title, "settings_in": place, "written": written, "program": program}
        )
    if as_json:
        return json.dumps(listed, indent=2)
    return table(("TOOL", "PROGRAM", "SETTINGS IN", "WRITTEN", "INSTALLED"), rows)
