"""What a request for a response may not ask for, known from the request alone."""

from __future__ import annotations

from typing import Final

from llama_stack_api.errors import InvalidRequest, UnsupportedParameter
from llama_stack_api.openai.responses.request import ResponseRequest

FREE_CHOICES: Final = ("auto", "none")


def check(request: ResponseRequest) -> None:
    """Raises `InvalidRequest` for parameters that are missing, or that contradict each other."""
    _check_context(request)
    _check_delivery(request)
    if request.tool_choice not in (None, *FREE_CHOICES) and not request.tools and not _brings_tools(request):
        raise InvalidRequest(
            "'tool_choice' asks for a tool, and there are no 'tools'.", param="tool_choice", code="invalid_value"
        )
    if request.moderation is not None:
        raise UnsupportedParameter(
            "This server moderates no responses; name shields in 'guardrails', or leave out 'moderation'.",
            param="moderation",
        )


def _check_context(request: ResponseRequest) -> None:
    if request.conversation is not None and request.previous_response_id is not None:
        raise InvalidRequest(
            "Mutually exclusive parameters: give only one of 'previous_response_id' and 'conversation'.",
            param="previous_response_id",
            code="mutually_exclusive_parameters",
        )
    goes_on = (request.conversation, request.previous_response_id, request.prompt)
    if request.input is None and all(each is None for each in goes_on):
        raise InvalidRequest(
            "One of 'input', 'previous_response_id', 'prompt' or 'conversation' must be given.",
            param="input",
            code="missing_required_parameter",
        )


def _check_delivery(request: ResponseRequest) -> None:
    if request.background and request.store is False:
        raise InvalidRequest(
            "A response in the background is read later: 'background' needs 'store' to be true.",
            param="background",
            code="invalid_value",
        )
    if request.stream_options is not None and not request.stream:
        raise InvalidRequest(
            "'stream_options' is only allowed when 'stream' is true.", param="stream_options", code="invalid_value"
        )


def _brings_tools(request: ResponseRequest) -> bool:
    """Items may bring tools, and so may the turns before."""
    goes_on = request.previous_response_id is not None or request.conversation is not None
    return goes_on or any(
        getattr(item, "type", None) in ("additional_tools", "tool_search_output")
        for item in (request.input if isinstance(request.input, list) else ())
    )
