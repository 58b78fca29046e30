"""The model provider of the benchmark: canned replies of two APIs (OpenAI, Messages) over loopback, for next to no CPU.

`python -m tests.bench.upstream` prints its port and serves until it is killed. A request whose body asks for
`"stream":true` gets 50 chunks: written as fast as the socket takes them, or one every `gap_ms` that the model's name
ends in (`canned-2ms`). An embedding is one of a few random vectors, which the text chooses.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import httptools
import uvloop

CHUNKS = 50
MODELS = ("canned", "canned-2ms", "canned-20ms", "embed")
_USAGE = {"prompt_tokens": 12, "completion_tokens": CHUNKS, "total_tokens": 12 + CHUNKS}
_HEAD = {"id": "chatcmpl-bench", "created": 1700000000, "model": "canned"}
_GAP = re.compile(rb'"model":\s*"[^"]*-(\d+)ms"')


def _event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def _chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return _event({**_HEAD, "object": "chat.completion.chunk", "choices": choices, "usage": None, **more})


EVENTS = [
    *(_chunk({"content": f"word{number} "}) for number in range(CHUNKS - 2)),
    _chunk({}, "stop"),
    _chunk({}, usage=_USAGE, choices=[]),
    b"data: [DONE]\n\n",
]


def _whole(body: Any) -> bytes:
    encoded = json.dumps(body, separators=(",", ":")).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(encoded)}\r\n\r\n"
    return head.encode() + encoded


_MESSAGE = {"role": "assistant", "content": "word " * CHUNKS, "refusal": None}
CHAT = _whole(
    {
        **_HEAD,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": _MESSAGE, "logprobs": None, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
)
_ANSWER: dict[str, Any] = {
    "id": "msg_bench",
    "type": "message",
    "role": "assistant",
    "model": "canned",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 1},
}
MESSAGE = _whole({**_ANSWER, "content": [{"type": "text", "text": "word " * CHUNKS}], "stop_reason": "end_turn"})


def _named(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\n".encode() + _event({"type": kind, **more})


MESSAGE_EVENTS = [
    _named("message_start", message=_ANSWER)
    + _named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    *(
        _named("content_block_delta", index=0, delta={"type": "text_delta", "text": f"word{number} "})
        for number in range(CHUNKS - 2)
    ),
    _named("content_block_stop", index=0)
    + _named("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": CHUNKS})
    + _named("message_stop"),
]
LIST = _whole(
    {"object": "list", "data": [{"id": name, "object": "model", "created": 1, "owned_by": "b"} for name in MODELS]}
)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


DIMENSION = 384


def _vectors(count: int = 64) -> list[str]:
    draw = random.Random(1)
    made = ([draw.gauss(0, 1) for _ in range(DIMENSION)] for _ in range(count))
    return [base64.b64encode(struct.pack(f"<{DIMENSION}f", *vector)).decode() for vector in made]


VECTORS = _vectors()


def embeddings(body: bytes) -> bytes:
    asked = json.loads(body)["input"]
    texts = [asked] if isinstance(asked, str) else asked
    chosen = (VECTORS[zlib.crc32(text.encode()) % len(VECTORS)] for text in texts)
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(chosen)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return _whole({"object": "list", "data": data, "model": "embed", "usage": usage})


def framed(event: bytes) -> bytes:
    return b"%x\r\n" % len(event) + event + b"\r\n"


class Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._parser = httptools.HttpRequestParser(self)
        self._task: asyncio.Task[None] | None = None

    def connection_lost(self, error: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._path = self._body = b""

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._path.endswith(b"/models"):
            self._transport.write(LIST)
        elif self._path.endswith(b"/embeddings"):
            self._transport.write(embeddings(self._body))
        elif b'"stream":true' not in self._body.replace(b" ", b""):
            self._transport.write(MESSAGE if self._path.endswith(b"/messages") else CHAT)
        else:
            gap = _GAP.search(self._body)
            events = MESSAGE_EVENTS if self._path.endswith(b"/messages") else EVENTS
            streaming = self._stream(events, int(gap[1]) / 1000 if gap else 0.0)
            self._task = asyncio.get_running_loop().create_task(streaming)

    async def _stream(self, events: Sequence[bytes], gap_s: float) -> None:
        self._transport.write(STREAM_HEAD)
        for event in events:
            if gap_s:
                await asyncio.sleep(gap_s)
            self._transport.write(framed(event))
        self._transport.write(LAST_CHUNK)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
