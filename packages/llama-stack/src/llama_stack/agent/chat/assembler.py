"""A streamed chat completion as the events and items of a response.

    feed(block)* finish()        the events so far, and at the end `generated`
    cut()                        instead of finish, where the stream broke
    refuse(message, shown)       instead of finish, where a guardrail said no

An item is closed before the next one is opened. Only calls may be open together, as upstreams may write them in turns;
a call whose arguments are whole is closed when the next one begins. What is said after calls (few models do) is shown
after them. White space alone is not shown, unless it is the whole answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from llama_stack.agent.chat import chunks
from llama_stack.agent.chat.call_pieces import Calls, Output
from llama_stack.agent.chat.chunks import Stroke
from llama_stack.agent.chat.open_items import Answer, Place, SealThought, Thought
from llama_stack.agent.citations import Citations
from llama_stack.agent.entries import Entry, Event
from llama_stack.agent.tools.base import BoundTool
from llama_stack.agent.turn import Generated, Usage

_REASONS: Mapping[str, str] = {"max_tokens": "length", "model_length": "length"}
_CUT_OFF = frozenset({"length", "content_filter"})


class Assembler:
    """One call of the model. `tools` are those that it was offered, by the name that it calls.

    `coalesce`: one delta for each part, for responses that nobody watches. `seal` makes the `encrypted_content` of
    reasoning. With `summarize`, `pending_summary` is the text of a reasoning item that awaits its `summary`; what comes
    after it is held back until then. `response_id` is that of the response whose items these are.
    """

    def __init__(
        self,
        tools: Mapping[str, BoundTool],
        *,
        citations: Callable[[], Citations] | None = None,
        coalesce: bool = False,
        seal: SealThought | None = None,
        summarize: bool = False,
        response_id: str = "",
        logprobs: bool = True,
    ) -> None:
        self.pending_summary: str | None = None
        self.generated = Generated(entries=[])
        self._citations = citations
        self._coalesce = coalesce
        self._seal = seal
        self._summarize = summarize
        self._logprobs = logprobs
        self._output = Output(response_id)
        self._tools = tools
        self._calls = Calls(tools, self._output, coalesce=coalesce)
        self._called: list[Calls] = []
        self._open: Thought | Answer | None = None
        self._answers: list[Answer] = []
        self._queue: deque[Stroke] = deque()
        self._blank: list[Stroke] = []
        self._late: list[Stroke] = []
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._tier: str | None = None
        self._model: str | None = None
        self._ending = False
        self._ended = False

    def feed(self, block: bytes) -> list[Event]:
        """`block`: whole server-sent events. `ProviderStreamBroken` if they are no chunks."""
        for chunk in chunks.decode(block):
            for choice in chunk.choices or ():
                if not choice.index:
                    self._queue.extend(chunks.strokes(choice))
                    self._reason = choice.finish_reason or self._reason
            if chunk.usage is not None:
                self._usage = chunks.usage_of(chunk.usage) or self._usage
            self._model = chunk.model or self._model
            if isinstance(chunk.service_tier, str):
                self._tier = chunk.service_tier
        return self._run()

    def finish(self) -> list[Event]:
        """The stream is complete. Then there is `generated`, unless a summary is pending: then after that."""
        self._ending = True
        return self._run()

    def summary(self, text: str) -> list[Event]:
        """The summary that was pending; empty if it could not be had. Gives what was held back, too."""
        events: list[Event] = []
        if isinstance(self._open, Thought):
            if text:
                self._open.summarize(text, events)
            self._close(self._status if self._ending and not self._queue else "completed", events)
        self.pending_summary = None
        return events + self._run()

    def cut(self) -> list[Event]:
        """Whatever is open ends as `incomplete`, and is not in `generated`; nor are calls of the server's tools."""
        events: list[Event] = []
        if self._open is not None:
            self._open.cut(events)
        for call in self._calls.open:
            call.cut(events)
        self._end(calls=False)
        return events

    def refuse(self, message: str, shown: str, item_id: str | None = None, *, place: int | None = None) -> list[Event]:
        """The last message, or that of `item_id`, ends as a refusal, and with it the answer.

        Of its last text, `shown` has been sent, and no event later than that. With a `place`, a message of its own
        stands there instead of an item of which nothing was sent. `generated` has what came before, and no calls of the
        server's tools.
        """
        events: list[Event] = []
        if place is None:
            answer = next(answer for answer in reversed(self._answers) if item_id in (None, answer.id))
            index, refused = answer.index, answer.refuse(message, shown, events)
        else:
            answer = Answer(Place(place, self._output.response_id), None, events, coalesce=self._coalesce)
            answer.decline(message, events)
            index, refused = place, answer.close("completed", events)
        kept = {at: entry for at, entry in self._output.entries.items() if at < index}
        self._output.entries = kept | {index: Entry(refused)}
        self._reason = "stop"
        self._end(calls=False)
        return events

    def _run(self) -> list[Event]:
        events: list[Event] = []
        while self.pending_summary is None and not self._ended:
            if self._queue:
                self._take(self._queue.popleft(), events)
            elif self._ending:
                self._conclude(events)
            else:
                break
        return events

    def _take(self, stroke: Stroke, events: list[Event]) -> None:
        if stroke.kind == "call":
            if self._settled(stroke, events):
                self._blank.clear()
                self._calls.take(stroke.value, events)
        elif self._calls:
            self._late.append(stroke)
        elif stroke.kind == "thought":
            self._think(stroke, events)
        elif stroke.kind == "signed":
            self._sign(stroke, events)
        else:
            self._answer(stroke, events)

    def _think(self, stroke: Stroke, events: list[Event]) -> None:
        thought = self._open
        if not isinstance(thought, Thought):
            if stroke.value.isspace():
                return
            thought = self._begin_thought(events)
        thought.add(stroke.value, events)

    def _sign(self, stroke: Stroke, events: list[Event]) -> None:
        """What is signed is of use to its provider alone, sealed: without a seal it is not kept."""
        if self._seal is not None:
            thought = self._open if isinstance(self._open, Thought) else self._begin_thought(events)
            thought.blocks.append(stroke.value)

    def _begin_thought(self, events: list[Event]) -> Thought:
        self._settle(events)
        self._blank.clear()
        thought = self._open = Thought(self._output.place(), self._seal, events, coalesce=self._coalesce)
        return thought

    def _answer(self, stroke: Stroke, events: list[Event]) -> None:
        answer = self._open
        if not isinstance(answer, Answer):
            if stroke.kind == "refusal":
                self._blank.clear()
            elif not stroke.value.strip():
                self._blank.append(stroke)
                return
            if not self._settled(stroke, events):
                return
            answer = self._begin_answer(events)
        if stroke.kind == "refusal":
            answer.decline(stroke.value, events)
        else:
            answer.say(stroke.value, stroke.logprobs if self._logprobs else (), events)

    def _begin_answer(self, events: list[Event]) -> Answer:
        answer = self._open = Answer(self._output.place(), self._citations, events, coalesce=self._coalesce)
        self._answers.append(answer)
        for blank in self._blank:
            answer.say(blank.value, blank.logprobs if self._logprobs else (), events)
        self._blank.clear()
        return answer

    def _settled(self, stroke: Stroke, events: list[Event]) -> bool:
        """Whether `stroke` may go on. If a summary has to come first, it is put back."""
        if not self._settle(events):
            self._queue.appendleft(stroke)
            return False
        return True

    def _settle(self, events: list[Event], status: str = "completed") -> bool:
        """Close what is open. False if a summary has to come first."""
        if isinstance(self._open, Thought):
            self._open.end_text(events)
            if self._summarize and self._open.text:
                self.pending_summary = self._open.text
                return False
        self._close(status, events)
        return True

    def _close(self, status: str, events: list[Event]) -> None:
        if self._open is not None:
            self._output.entries[self._open.index] = Entry(self._open.close(status, events))
            self._open = None

    @property
    def _status(self) -> str:
        return "incomplete" if self._cut_off else "completed"

    @property
    def _cut_off(self) -> bool:
        return _REASONS.get(self._reason or "", self._reason) in _CUT_OFF

    def _conclude(self, events: list[Event]) -> None:
        if not self._settle(events, self._status):
            return
        self._calls.conclude(cut_off=self._cut_off, events=events)
        self._called.append(self._calls)
        if self._late:
            self._queue.extend(self._late)
            self._late.clear()
            self._calls = Calls(self._tools, self._output, coalesce=self._coalesce)
            return
        if not any(self._called) and not self._output.entries and not self._cut_off:
            self._begin_answer(events).say("", (), events)
            self._close("completed", events)
        self._end(calls=True)

    def _end(self, *, calls: bool) -> None:
        self._ended = True
        self.pending_summary = None
        entries = self._output.entries
        self.generated = Generated(
            entries=[entries[index] for index in sorted(entries)],
            calls=[call for made in self._called for call in made.for_server] if calls else [],
            finish_reason=_REASONS.get(self._reason or "", self._reason),
            usage=self._usage,
            service_tier=self._tier,
            model=self._model,
        )
