"""`server.responses`: what one response may use besides what its run may (`server.runs`)."""

from __future__ import annotations

from pydantic import Field

from llama_stack.config.section import Section

_MIB = 1024 * 1024


def setting(name: str) -> str:
    """What an error calls the limit `name`."""
    return f"server.responses.{name}"


class AttachmentLimits(Section):
    """Images and files of the input, wherever they come from."""

    image_bytes_max: int = Field(default=20 * _MIB, ge=1)
    """Bytes of one image."""
    file_bytes_max: int = Field(default=32 * _MIB, ge=1)
    """Bytes of one file. What is downloaded is limited by `server.egress.bytes_max` too."""
    total_bytes_max: int = Field(default=64 * _MIB, ge=1)
    """Bytes of all images and files of one turn together."""
    count_max: int = Field(default=200, ge=1)
    """Images and files of one turn."""
    parallel_max: int = Field(default=8, ge=1)
    """Of them, those that are fetched at the same time."""


class AgentLimits(Section):
    """The agent is handed this section as it is; nothing repeats the defaults."""

    input_items_max: int = Field(default=10_000, ge=1)
    """Items in the input of one request."""
    tools_max: int = Field(default=10_000, ge=1)
    """Definitions of tools in one request, those that items bring along included."""
    rounds: int = Field(default=10, ge=1)
    """Times that the model is asked in a response whose request has no `max_infer_iters`."""
    rounds_max: int = Field(default=100, ge=1)
    """The most that a `max_infer_iters` may ask for."""
    tool_calls_max: int = Field(default=256, ge=1)
    """Tools that the server runs in one response, whatever its `max_tool_calls`."""
    tools_parallel_max: int = Field(default=16, ge=1)
    """Tools of one response that run at the same time."""
    tool_timeout_s: float = Field(default=300, gt=0)
    """Seconds that one tool may take, whatever timeout it has of its own."""
    tool_result_bytes_max: int = Field(default=4 * _MIB, ge=1024)
    """Bytes of what one tool gives back."""
    stream_retries: int = Field(default=2, ge=0)
    """Times that the model is asked again after its stream broke in the middle."""
    truncations_max: int = Field(default=12, ge=0)
    """Times that `truncation: auto` drops old items and asks again."""
    summary_tokens_max: int = Field(default=2048, ge=16)
    """Tokens of a reasoning summary, and of a compaction."""
    attachments: AttachmentLimits = Field(default_factory=AttachmentLimits)
