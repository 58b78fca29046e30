"""The events of a streamed answer of Oracle's as the chunks of a streamed chat completion.

Habits of the service that are seen to here: Cohere's last event, and one that holds calls, repeats the whole text; some
models write a call in pieces, of which only the first has a name and each may have an id of its own; others give calls
no ids. The usage comes with the last event or behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from llama_stack.dialects.chat.chunks import ChunkHead
from llama_stack.dialects.chat.values import Json
from llama_stack.dialects.oci.formats import ApiFormat
from llama_stack.dialects.oci.from_oci import call_id, finish_reason
from llama_stack.dialects.oci.said import Said, SaidCall, completion_usage, said_by


@dataclass(slots=True)
class _Choice:
    """What was passed on of a choice. `calls`: the ids by which their pieces are known, in the order of the calls."""

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    finished: bool = False


class OciChunks:
    """One stream. `complete` once every choice that began has ended."""

    def __init__(self, *, model: str, created: int, id: str, api_format: ApiFormat, include_usage: bool) -> None:
        self._head = ChunkHead(id=id, model=model, created=created)
        self._repeats = api_format is not ApiFormat.GENERIC
        self._include_usage = include_usage
        self._usage: Json = {}
        self._choices: dict[int, _Choice] = {}

    @property
    def complete(self) -> bool:
        return bool(self._choices) and all(choice.finished for choice in self._choices.values())

    @property
    def over(self) -> bool:
        return self.complete and bool(self._usage)

    def feed(self, event: Json) -> list[Json]:
        """The chunks that an event amounts to, which may be none."""
        said = said_by(event)
        self._usage = said.usage or self._usage
        if not any((said.text, said.thought, said.refusal, said.calls, said.finish_reason, "message" in event)):
            return []
        chunks: list[Json] = []
        choice = self._choices.get(said.index)
        if choice is None:
            choice = self._choices[said.index] = _Choice()
            chunks.append(self._head.begin(index=said.index))
        if choice.finished:
            return chunks
        deltas = self._deltas(choice, said)
        chunks += [self._head.chunk(delta, index=said.index, logprobs=said.logprobs) for delta in deltas]
        if said.finish_reason is not None:
            choice.finished = True
            reason = finish_reason(said, called=bool(choice.calls))
            chunks.append(self._head.chunk({}, index=said.index, finish_reason=reason))
        return chunks

    def finish(self) -> list[Json]:
        """The usage, if it was asked for."""
        return [self._head.usage(completion_usage(self._usage))] if self._include_usage else []

    def _deltas(self, choice: _Choice, said: Said) -> list[Json]:
        deltas: list[Json] = []
        ends = said.finish_reason is not None
        if thought := self._new(choice.thoughts, said.thought, whole=ends):
            deltas.append({"reasoning_content": thought})
        if text := self._new(choice.texts, said.text, whole=ends or bool(said.calls)):
            deltas.append({"content": text})
        if said.refusal:
            deltas.append({"refusal": said.refusal})
        if said.annotations:
            deltas.append({"annotations": said.annotations})
        if not (self._repeats and ends and choice.calls):
            deltas += [{"tool_calls": [self._piece(choice, said.index, call)]} for call in said.calls]
        return deltas

    def _new(self, before: list[str], text: str, *, whole: bool) -> str:
        """What of a text was not said before. `whole`: it may begin with all that was."""
        if not self._repeats:
            return text
        if whole:
            text = text.removeprefix("".join(before))
        before.append(text)
        return text

    def _piece(self, choice: _Choice, index: int, call: SaidCall) -> Json:
        if call.id and call.id in choice.calls:
            return {"index": choice.calls.index(call.id), "function": {"arguments": call.arguments}}
        if not call.name and choice.calls:
            return {"index": len(choice.calls) - 1, "function": {"arguments": call.arguments}}
        position = len(choice.calls)
        known = call_id(call.id, self._head.id, index, position)
        choice.calls.append(known)
        function = {"name": call.name, "arguments": call.arguments}
        return {"index": position, "id": known, "type": "function", "function": function}
