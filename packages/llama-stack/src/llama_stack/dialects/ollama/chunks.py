"""The lines of a streamed reply of `/api/chat` as the chunks of a chat completion."""

from __future__ import annotations

from llama_stack.dialects.chat.chunks import ChunkHead, numbered
from llama_stack.dialects.chat.values import Json, mapping, text_or
from llama_stack.dialects.ollama.from_ollama import finish_reason, logprobs_of, tool_calls, usage_of


class OllamaChunks:
    """One stream. `id` is the completion's, `created` in Unix seconds. A call of a tool comes whole, in one chunk."""

    def __init__(self, *, id: str, created: int, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._head = ChunkHead(id=id, model="", created=created)
        self._begun = False
        self._calls = 0
        self._usage: Json = usage_of({})
        self.complete = False

    @property
    def over(self) -> bool:
        """The line that ends the answer counts its tokens, too."""
        return self.complete

    def feed(self, event: Json) -> list[Json]:
        said = mapping(event.get("message"))
        chunks = [] if self._begun else self._begin(event)
        spoken = {"reasoning_content": text_or(said.get("thinking")), "content": text_or(said.get("content"))}
        if any(spoken.values()):
            delta = {name: piece for name, piece in spoken.items() if piece}
            chunks.append(self._head.chunk(delta, logprobs=logprobs_of(event)))
        for call in tool_calls(said, self._head.id, self._calls):
            chunks.append(self._head.chunk({"tool_calls": numbered([call], self._calls)}))
            self._calls += 1
        if event.get("done") is True:
            self.complete = True
            self._usage = usage_of(event)
            chunks.append(self._head.chunk({}, finish_reason=finish_reason(event, self._calls > 0)))
        return chunks

    def finish(self) -> list[Json]:
        return [self._head.usage(self._usage)] if self._include_usage else []

    def _begin(self, event: Json) -> list[Json]:
        self._begun = True
        self._head.model = text_or(event.get("model"))
        return [self._head.begin()]
