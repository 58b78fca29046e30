"""OpenAI's error object: the body of every reply with a status of 400 or more."""

from __future__ import annotations

from typing import ClassVar

from llama_stack_api.base import WireModel


class Error(WireModel):
    """`type` and `code` are those of `llama_stack_api.errors`; `param` names the offending request field."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset({"param", "code"})

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorResponse(WireModel):
    error: Error
