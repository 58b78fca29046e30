"""What it costs to make the chunks of a chat completion out of another dialect's stream, without any network.

CPU milliseconds for a stream of 50 events, each of which arrives by itself.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from llama_stack.dialects.anthropic.chunks import ChatChunks
from llama_stack.dialects.converse.chunks import ConverseChunks
from llama_stack.dialects.gemini.chunks import GeminiChunks
from llama_stack.dialects.oci.chunks import OciChunks
from llama_stack.dialects.oci.formats import ApiFormat
from llama_stack.dialects.ollama.chunks import OllamaChunks
from llama_stack.providers._shared.aws_events import AwsJsonEvents
from llama_stack.providers._shared.translated_stream import (
    ChunkMaker,
    EventReader,
    JsonLines,
    SseEvents,
    TranslatedStream,
)
from llama_stack_api.wire import EncodedStream
from tests.bench.tables import table
from tests.bench.upstream import CHUNKS, MESSAGE_EVENTS
from tests.support.anthropic_upstream_bedrock import aws_message

WORDS = [f"word{number} " for number in range(CHUNKS - 2)]
STREAMS = 400
ROUNDS = 5
CREATED = 1700000000


@dataclass(frozen=True, slots=True)
class Dialect:
    name: str
    blocks: list[bytes]
    reader: Callable[[], EventReader]
    chunks: Callable[[], ChunkMaker]


class Canned(EncodedStream):
    def __init__(self, blocks: list[bytes]) -> None:
        self._blocks = blocks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for block in self._blocks:
            yield block

    async def aclose(self) -> None:
        """Nothing is open."""


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _sse(value: Any) -> bytes:
    return b"data: " + _json(value) + b"\n\n"


def _gemini() -> list[bytes]:
    def event(text: str, **candidate: Any) -> bytes:
        said = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **candidate}
        usage = {"promptTokenCount": 12, "candidatesTokenCount": CHUNKS, "totalTokenCount": 12 + CHUNKS}
        return _sse({"candidates": [said], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"})

    return [*map(event, WORDS), event("", finishReason="STOP")]


def _converse() -> list[bytes]:
    def event(kind: str, value: Any) -> bytes:
        headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
        return aws_message(headers, _json(value))

    said = [event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}}) for word in WORDS]
    usage = {"usage": {"inputTokens": 12, "outputTokens": CHUNKS, "totalTokens": 12 + CHUNKS}}
    ended = [event("contentBlockStop", {"contentBlockIndex": 0}), event("messageStop", {"stopReason": "end_turn"})]
    return [event("messageStart", {"role": "assistant"}), *said, *ended, event("metadata", usage)]


def _ollama() -> list[bytes]:
    def line(text: str, **more: Any) -> bytes:
        return _json({"model": "m", "message": {"role": "assistant", "content": text}, "done": False, **more}) + b"\n"

    counted = {"done": True, "done_reason": "stop", "prompt_eval_count": 12, "eval_count": CHUNKS}
    return [*map(line, WORDS), line("", **counted)]


def _oci() -> list[bytes]:
    def event(text: str) -> bytes:
        return _sse({"index": 0, "message": {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": text}]}})

    return [*map(event, WORDS), _sse({"index": 0, "finishReason": "stop"})]


DIALECTS = (
    Dialect("Messages", MESSAGE_EVENTS, SseEvents, lambda: ChatChunks(created=CREATED, include_usage=True)),
    Dialect("Gemini", _gemini(), SseEvents, lambda: GeminiChunks(model="m", created=CREATED, include_usage=True)),
    Dialect(
        "Converse",
        _converse(),
        lambda: AwsJsonEvents("exception"),
        lambda: ConverseChunks(id="c", model="m", created=CREATED, include_usage=True),
    ),
    Dialect("Ollama", _ollama(), JsonLines, lambda: OllamaChunks(id="c", created=CREATED, include_usage=True)),
    Dialect(
        "OCI",
        _oci(),
        SseEvents,
        lambda: OciChunks(model="m", created=CREATED, id="c", api_format=ApiFormat.GENERIC, include_usage=True),
    ),
)


async def _translate(dialect: Dialect, count: int) -> int:
    """The events of the last stream."""
    said = b""
    for _ in range(count):
        source = Canned(dialect.blocks)
        stream = TranslatedStream(source, dialect.reader(), dialect.chunks(), dialect.name, lambda _event: None)
        said = b"".join([block async for block in stream])
    return said.count(b"data: ")


def translation(scale: float) -> None:
    rows = []
    for dialect in DIALECTS:
        count = max(1, int(STREAMS * scale))
        spent = []
        for _ in range(ROUNDS):
            before = time.process_time()
            events = asyncio.run(_translate(dialect, count))
            spent.append((time.process_time() - before) / count * 1000)
        rows.append([dialect.name, f"{min(spent):.3f}", str(events)])
    table("translated streams", ["dialect", "CPU ms a stream (least of 5)", "events written"], rows)
