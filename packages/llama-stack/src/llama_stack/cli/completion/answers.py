"""Candidates for the last of the words of a command line, by walking the commands as they are registered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llama_stack.cli.completion.values import Candidate, values_for


def answer(root: Any, words: Sequence[str], environ: Mapping[str, str]) -> str:
    """The lines of the answer; `root` is the command of the program, `words` what is behind its name."""
    found = candidates(root, words, environ)
    return "".join(f"{value}\t{about}\n" if about else f"{value}\n" for value, about in found)


def candidates(root: Any, words: Sequence[str], environ: Mapping[str, str]) -> list[Candidate]:
    """Those that begin as the last word does, in their order."""
    *before, incomplete = words or [""]
    command, positional, waiting, ended = _walk(root, before)
    found = _of_place(command, positional, waiting, ended, incomplete, environ)
    return [each for each in found if each[0].startswith(incomplete) or each[0].startswith(":")]


def _walk(root: Any, words: Sequence[str]) -> tuple[Any, int, Any, bool]:
    """The command that the words lead to, how many arguments it has, the option that waits for its value (or None),
    and whether `--` has ended the options."""
    command, positional, waiting, ended = root, 0, None, False
    for word in words:
        if waiting is not None:
            waiting = None
        elif word == "--":
            ended = True
        elif word.startswith("-") and not ended:
            name, equals, _ = word.partition("=")
            option = next((each for each in _options(command) if name in each.opts), None)
            waiting = option if option is not None and not equals and _takes_value(option) else None
        elif not ended and (inner := _commands(command).get(word)) is not None:
            command, positional = inner, 0
        else:
            positional += 1
    return command, positional, waiting, ended


def _of_place(
    command: Any, positional: int, waiting: Any, ended: bool, incomplete: str, environ: Mapping[str, str]
) -> Iterator[Candidate]:
    if waiting is not None:
        yield from _values(waiting, incomplete, environ)
        return
    if incomplete.startswith("-") and not ended:
        for option in _options(command):
            yield from ((name, _first_line(option.help)) for name in option.opts if name.startswith("--"))
        return
    for name, inner in _commands(command).items():
        if not getattr(inner, "hidden", False):
            yield name, _first_line(inner.help)
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    if not ended and arguments and (positional < len(arguments) or arguments[-1].nargs == -1):
        yield from _values(arguments[min(positional, len(arguments) - 1)], incomplete, environ)


def _values(parameter: Any, incomplete: str, environ: Mapping[str, str]) -> Iterator[Candidate]:
    kind = getattr(parameter, "type_descriptor", None) or getattr(parameter, "type", None)  # by the version of typer
    choices = getattr(kind, "choices", None)
    if choices:
        yield from ((str(getattr(choice, "value", choice)), "") for choice in choices)
    else:
        yield from values_for(str(parameter.name), str(parameter.metavar or ""), incomplete, environ)


def _commands(command: Any) -> Mapping[str, Any]:
    return getattr(command, "commands", {})


def _options(command: Any) -> list[Any]:
    return [each for each in command.params if each.param_type_name == "option" and not each.hidden]


def _takes_value(option: Any) -> bool:
    return not option.is_flag


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
