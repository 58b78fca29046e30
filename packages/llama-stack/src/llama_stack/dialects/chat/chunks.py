"""The chunks of a streamed chat completion, all under one head."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llama_stack.dialects.chat.values import Json


class ChunkHead:
    """What the chunks of a stream have in common. `created` is in Unix seconds; `id` and `model` may become known with
    the first event."""

    def __init__(self, *, id: str, model: str, created: int) -> None:
        self.id = id
        self.model = model
        self.members: Json = {}
        """Others, such as `service_tier`."""
        self._created = created

    def chunk(self, delta: Json, *, index: int = 0, **members: Any) -> Json:
        """One choice, with `finish_reason` and `logprobs` null unless `members` say otherwise."""
        choice: Json = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
        return self._with([{**choice, **members}])

    def begin(self, *, index: int = 0) -> Json:
        return self.chunk({"role": "assistant", "content": ""}, index=index)

    def usage(self, usage: Json) -> Json:
        """The chunk behind all choices."""
        return {**self._with([]), "usage": usage}

    def _with(self, choices: list[Json]) -> Json:
        head = {"id": self.id, "object": "chat.completion.chunk", "created": self._created, "model": self.model}
        return {**head, "choices": choices, **self.members}


def numbered(entries: Iterable[Json], first: int = 0) -> list[Json]:
    """Entries of a list in a delta, with the `index` by which clients join what comes in several chunks."""
    return [{"index": index, **entry} for index, entry in enumerate(entries, first)]
