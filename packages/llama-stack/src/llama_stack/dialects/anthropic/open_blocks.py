"""The blocks of a message that streams in, and the events that tell of them.

Anthropic's streams have one block open at a time; a chat completion may add to several calls in turn. So the first
block that is not over streams, and those behind it wait with what they have.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from llama_stack.dialects.chat.arguments import StreamedArguments
from llama_stack.dialects.chat.values import Json


class Block:
    """`start` is the block as `content_block_start` has it; `sealed`: nothing more may be added.
    `known_as` is the id by which the upstream names a call."""

    __slots__ = ("arguments", "deltas", "known_as", "sealed", "signed", "start", "started", "text")

    def __init__(self, start: Json) -> None:
        self.start = start
        self.deltas: list[Json] = []
        self.known_as = ""
        self.sealed = False
        self.signed = False
        self.started = False
        self.text = ""
        self.arguments = StreamedArguments() if start["type"] == "tool_use" else None

    @property
    def type(self) -> str:
        return str(self.start["type"])

    def add_text(self, text: str) -> None:
        self.text += text
        if self.type == "thinking":
            self.deltas.append({"type": "thinking_delta", "thinking": text})
        else:
            self.deltas.append({"type": "text_delta", "text": text})

    def add_arguments(self, piece: str) -> None:
        assert self.arguments is not None, "only calls have arguments"
        self._add_json(self.arguments.feed(piece))

    def sign(self, signature: str) -> None:
        self.deltas.append({"type": "signature_delta", "signature": signature})
        self.sealed = self.signed = True

    def over(self, *, followed: bool) -> bool:
        """Whether the block may be closed now, where another one follows."""
        if self.arguments is None:
            return self.sealed or followed
        return followed and self.arguments.complete

    def finish(self) -> None:
        if self.arguments is not None:
            self._add_json(self.arguments.finish())

    def _add_json(self, piece: str) -> None:
        if piece:
            self.deltas.append({"type": "input_json_delta", "partial_json": piece})


class OpenBlocks:
    def __init__(self) -> None:
        self._queue: deque[Block] = deque()
        self._index = 0

    @property
    def last(self) -> Block | None:
        """The block that was begun last, if it is not over."""
        return self._queue[-1] if self._queue else None

    def begin(self, start: Json) -> Block:
        block = Block(start)
        self._queue.append(block)
        return block

    def ending_in(self, kind: str) -> Block | None:
        """The last block, if it is of this type and can be added to."""
        last = self.last
        return last if last is not None and last.type == kind and not last.sealed else None

    def events(self, *, ended: bool = False) -> Iterator[Json]:
        """What can be told now. `ended`: nothing more comes."""
        while self._queue:
            block = self._queue[0]
            if not block.started and not ended and block.start.get("name") == "":
                return
            if ended:
                block.finish()
            yield from self._progress(block)
            if not ended and not block.over(followed=len(self._queue) > 1):
                return
            yield {"type": "content_block_stop", "index": self._index}
            self._index += 1
            self._queue.popleft()

    def _progress(self, block: Block) -> Iterator[Json]:
        if not block.started:
            block.started = True
            yield {"type": "content_block_start", "index": self._index, "content_block": block.start}
        for delta in block.deltas:
            yield {"type": "content_block_delta", "index": self._index, "delta": delta}
        block.deltas.clear()
