"""The events of streamGenerateContent, each a reply of its own, as the chunks of a streamed chat completion."""

from __future__ import annotations

from llama_stack.dialects.chat.chunks import ChunkHead
from llama_stack.dialects.chat.values import Json, mapping, objects, text_or
from llama_stack.dialects.gemini.candidates import Candidate, completion_id
from llama_stack.dialects.gemini.endings import completion_usage
from llama_stack.dialects.gemini.logprobs import logprobs_of


class GeminiChunks:
    """One stream of `choices` answers. Errors and blocked prompts are the caller's.

    The reason of the end waits for the end of the stream: a signature may come with it or behind it.
    """

    over = False  # no event says that it is the last

    def __init__(
        self, *, model: str, created: int, include_usage: bool, choices: int = 1, one_call: bool = False
    ) -> None:
        self._include_usage = include_usage
        self._choices = choices
        self._one_call = one_call
        self._head = ChunkHead(id="", model=model, created=created)
        self._reply_id = ""
        self._candidates: dict[int, Candidate] = {}
        self._usage: Json = {}

    @property
    def complete(self) -> bool:
        """Whether each answer said why it ended."""
        finished = sum(candidate.finished for candidate in self._candidates.values())
        return finished >= self._choices and finished == len(self._candidates)

    def feed(self, event: Json) -> list[Json]:
        self._name(event)
        self._usage |= mapping(event.get("usageMetadata"))
        return [chunk for said in objects(event.get("candidates")) for chunk in self._take(said)]

    def finish(self) -> list[Json]:
        chunks = []
        for candidate in self._candidates.values():
            deltas, finish = candidate.ending()
            chunks += [self._head.chunk(delta, index=candidate.index) for delta in deltas]
            chunks.append(self._head.chunk({}, index=candidate.index, **finish))
        if self._include_usage:
            chunks.append(self._head.usage(completion_usage(self._usage)))
        return chunks

    def _name(self, event: Json) -> None:
        if not self._head.id:
            self._reply_id = text_or(event.get("responseId"))
            self._head.id = completion_id(self._reply_id)
            self._head.model = text_or(event.get("modelVersion")) or self._head.model

    def _take(self, said: Json) -> list[Json]:
        index = said["index"] if isinstance(said.get("index"), int) else 0
        chunks = []
        if index not in self._candidates:
            self._candidates[index] = Candidate(index, reply_id=self._reply_id, one_call=self._one_call)
            chunks.append(self._head.begin(index=index))
        deltas = self._candidates[index].deltas(said)
        logprobs = logprobs_of(said.get("logprobsResult"))
        if logprobs is not None:
            first, *deltas = deltas or [{}]
            chunks.append(self._head.chunk(first, index=index, logprobs=logprobs))
        return [*chunks, *(self._head.chunk(delta, index=index) for delta in deltas)]
