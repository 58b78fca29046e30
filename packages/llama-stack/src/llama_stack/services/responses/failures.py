"""A response that failed before it had anything to show, as the HTTP error that it would have been without a run.

A journalled failure keeps its code and message; the code finds its class again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llama_stack.runs.model import RunError
from llama_stack_api.errors import ContentFiltered, InvalidRequest, LlamaStackError, ProviderError, RateLimited

_OF_REQUEST = ("invalid_", "unsupported_", "missing_", "unknown_", "image_", "empty_image", "failed_to_download_")
"""How codes begin that speak of the request, whoever found it out."""


def failure_of(response: Mapping[str, Any], error: RunError | None) -> LlamaStackError | None:
    """The error of a response that failed without output. One with output is shown as it is: `status` and `error` say
    what happened, and the work that was done is not lost."""
    if response["status"] != "failed" or response["output"]:
        return None
    if error is None:
        error = RunError(response["error"]["code"], response["error"]["message"])
    return _kind_of(error.code)(error.message, code=error.code)


def _kind_of(code: str) -> type[LlamaStackError]:
    for kind in _tree(LlamaStackError):
        if kind.default_code == code and kind not in (LlamaStackError, ProviderError):
            return kind
    if code == "rate_limit_exceeded":
        return RateLimited
    if code in ("content_filter", "image_content_policy_violation", "bio_policy"):
        return ContentFiltered
    return InvalidRequest if code.startswith(_OF_REQUEST) else LlamaStackError


def _tree(kind: type[LlamaStackError]) -> Iterator[type[LlamaStackError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)
