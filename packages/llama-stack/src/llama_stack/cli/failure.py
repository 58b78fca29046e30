"""What goes wrong in a command, as one block that a person can act on."""

from __future__ import annotations

import os
import sys

USAGE = 2
DEBUG_VARIABLE = "LLAMA_STACK_DEBUG"


class Failure(Exception):
    """A command that cannot go on: what is wrong (with the place, if there is one) and what to do about it."""

    def __init__(self, what: str, remedy: str | None = None, *, exit_code: int = 1) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.exit_code = exit_code


def explain(error: Exception) -> Failure:
    """Any error as a `Failure`. Those of the server's own trees carry a message that is written for its reader."""
    if isinstance(error, Failure):
        return error
    from llama_stack.config.problem import ConfigError
    from llama_stack.routing.errors import RoutingConfigError
    from llama_stack.security.key_file import KeyFileUnreadable
    from llama_stack_api.errors import LlamaStackError

    if isinstance(error, ConfigError | RoutingConfigError | LlamaStackError):
        return Failure(str(error))
    if isinstance(error, KeyFileUnreadable):
        return Failure(
            f"server.auth.provider_config.file: {error}",
            "Write the file, or leave the setting out; without its keys the server would let nobody in",
        )
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return Failure(f"{place}{error.strerror}")
    what = f"unexpected error: {type(error).__name__}: {error}"
    return Failure(what, f"Set {DEBUG_VARIABLE}=1 to see where it comes from, and report it")


def report(error: Exception) -> int:
    """Print the error on standard error; the exit code. `LLAMA_STACK_DEBUG` adds the traceback."""
    if os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    failure = explain(error)
    print(f"{_label()} {failure.what}", file=sys.stderr)
    if failure.remedy:
        print(f"  → {failure.remedy}", file=sys.stderr)
    return failure.exit_code


def _label() -> str:
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return "\x1b[1;31mError:\x1b[0m" if coloured else "Error:"
