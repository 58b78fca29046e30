"""What a request for a response may not ask for, known from the request alone."""

from __future__ import annotations

from typing import Final

from llama_stack.config.responses import AgentLimits, setting
from llama_stack.services.item_tools import BRING_TOOLS
from llama_stack_api.errors import InvalidRequest, UnsupportedParameter
from llama_stack_api.openai.responses.request import ResponseRequest

FREE_CHOICES: Final = ("auto", "none")
MODES: Final = (*FREE_CHOICES, "required")


def check(request: ResponseRequest, limits: AgentLimits) -> None:
    """Raises `InvalidRequest` for parameters that are missing, too large, or that contradict each other."""
    _check_size(request, limits)
    _check_context(request)
    _check_delivery(request)
    if (request.max_infer_iters or 0) > limits.rounds_max:
        raise InvalidRequest(
            f"'max_infer_iters' is at most {limits.rounds_max} here; {setting('rounds_max')} raises that limit.",
            param="max_infer_iters",
            code="invalid_value",
        )
    if isinstance(request.tool_choice, str) and request.tool_choice not in MODES:
        raise InvalidRequest(
            f"'tool_choice' is one of {', '.join(MODES)}, or an object.", param="tool_choice", code="invalid_value"
        )
    if request.tool_choice not in (None, *FREE_CHOICES) and not request.tools and not _brings_tools(request):
        raise InvalidRequest(
            "'tool_choice' asks for a tool, and there are no 'tools'.", param="tool_choice", code="invalid_value"
        )
    if request.moderation is not None:
        raise UnsupportedParameter(
            "This server moderates no responses; name shields in 'guardrails', or leave out 'moderation'.",
            param="moderation",
        )


def _check_size(request: ResponseRequest, limits: AgentLimits) -> None:
    """What is small in bytes may still be much work."""
    items = request.input if isinstance(request.input, list) else ()
    if len(items) > limits.input_items_max:
        raise InvalidRequest(
            f"The input has {len(items)} items, of at most {limits.input_items_max}; {setting('input_items_max')} "
            "raises that limit.",
            param="input",
        )
    definitions = [request.tools or (), *(getattr(item, "tools", None) or () for item in items)]
    count = sum(1 + len(getattr(tool, "tools", None) or ()) for tools in definitions for tool in tools)
    if count > limits.tools_max:
        raise InvalidRequest(
            f"The request has {count} definitions of tools, of at most {limits.tools_max}; {setting('tools_max')} "
            "raises that limit.",
            param="tools",
        )


def _check_context(request: ResponseRequest) -> None:
    if request.conversation is not None and request.previous_response_id is not None:
        raise InvalidRequest(
            "Mutually exclusive parameters: give only one of 'previous_response_id' and 'conversation'.",
            param="previous_response_id",
            code="mutually_exclusive_parameters",
        )
    goes_on = (request.conversation, request.previous_response_id, request.prompt)
    says = request.input is not None and (request.input != [] or request.instructions is not None)
    if not says and all(each is None for each in goes_on):
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
        getattr(item, "type", None) in BRING_TOOLS
        for item in (request.input if isinstance(request.input, list) else ())
    )
