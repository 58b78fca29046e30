"""`server.batches`: batches of requests, OpenAI's and Anthropic's."""

from __future__ import annotations

from pydantic import Field

from llama_stack.config.section import Section

_MIB = 1024 * 1024
_DAY_S = 24 * 3600.0


class BatchesConfig(Section):
    concurrent_max: int = Field(default=4, ge=1)
    """Batches that one process carries out at a time; others wait."""
    requests_concurrent_max: int = Field(default=16, ge=1)
    """Requests of all batches that one process sends to one provider at a time. Fewer while it answers 429 or 503."""
    lines_max: int = Field(default=50_000, ge=1)
    """Requests of one batch."""
    bytes_max: int = Field(default=200 * _MIB, ge=1)
    """Bytes of one batch's requests."""
    line_bytes_max: int = Field(default=16 * _MIB, ge=1)
    """Bytes of one request, and of one answer."""
    results_retention_s: float = Field(default=29 * _DAY_S, gt=0)
    """Seconds after its end that the results of a message batch can be had."""
    retention_s: float = Field(default=180 * _DAY_S, gt=0)
    """Seconds after its end that a batch itself can be seen. Its files have their own time."""
    cancel_grace_s: float = Field(default=5, ge=0)
    """Seconds that requests under way get to be answered once their batch is cancelled, or its time is over."""
