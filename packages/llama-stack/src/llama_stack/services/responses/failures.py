"""A response that failed before it had anything to show, as the HTTP error that it would have been without a run.

A journalled failure keeps status, code, message and param of the error that it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llama_stack.runs.model import RunError
from llama_stack_api.errors import LlamaStackError


def failure_of(response: Mapping[str, Any], error: RunError | None) -> LlamaStackError | None:
    """The error of a response that failed without output. One with output is shown as it is: `status` and `error` say
    what happened, and the work that was done is not lost."""
    if response["status"] != "failed" or response["output"]:
        return None
    if error is None:
        error = RunError(response["error"]["code"], response["error"]["message"])
    return _kind_of(error)(error.message, code=error.code, param=error.param)


def _kind_of(error: RunError) -> type[LlamaStackError]:
    """The kind of errors that has the code, else the most general one that has the status."""
    kinds = [kind for kind in _tree(LlamaStackError) if kind.status == error.status]
    return next((kind for kind in kinds if kind.default_code == error.code), kinds[0] if kinds else LlamaStackError)


def _tree(kind: type[LlamaStackError]) -> Iterator[type[LlamaStackError]]:
    """Of the common errors alone: what is derived of them elsewhere may take more than a message."""
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == LlamaStackError.__module__:
            yield from _tree(child)
