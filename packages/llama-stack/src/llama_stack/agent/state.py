"""What a response does next. Pure: no I/O, no clock, no chance, so that what happened before a crash leads the same way
again after it.

    state = State(settings, before, input, bound)
    while not isinstance(effect := state.next(), Finish):
        …carry it out, then tell: state.listed(…), answered(…), failed(…), ran(…), compacted(…)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from llama_stack.agent.approvals import Approved, approval_request, approved
from llama_stack.agent.arguments import json_object
from llama_stack.agent.chat.choice import ChatChoice, chat_choice
from llama_stack.agent.context import (
    is_instruction,
    newest_user_turn,
    room_for_tools,
    since_compaction,
    tokens_of,
    without_oldest,
)
from llama_stack.agent.effects import Ask, Changed, Compact, Effect, Finish, ListTools, Planned, Ran, RunTools
from llama_stack.agent.entries import Entry, ModelCall
from llama_stack.agent.ids import id_as
from llama_stack.agent.tools.base import Bound, BoundTool, Listing
from llama_stack.agent.tools.deferral import offered
from llama_stack.agent.tools.names import distinct
from llama_stack.agent.tools.search_first import searches_first
from llama_stack.agent.turn import Generated, ServerCall, Usage, total
from llama_stack.config.responses import AgentLimits, setting
from llama_stack.runs.model import RunError, RunStatus

CALLER_CALLS: Final = frozenset({"function_call", "custom_tool_call", "tool_search_call"})
INCOMPLETE: Final[Mapping[str, str]] = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Those of a request that decide the way. `compact_at` is in tokens of input, `tool_calls_of` says who set that
    limit. `tools_told`: the model cannot call tools; searches of files run before it is asked.
    `room` is how many tokens its context has for the conversation and what tools give, where that is known."""

    rounds_max: int = 10
    tool_calls_max: int = 256
    output_tokens_max: int | None = None
    parallel: bool = True
    tool_choice: Any = "auto"
    compact_at: int | None = None
    truncations_max: int = 0
    tool_calls_of: str = "max_tool_calls"
    tools_told: bool = False
    room: int | None = None

    @classmethod
    def of(
        cls,
        request: Mapping[str, Any],
        limits: AgentLimits,
        *,
        tools_told: bool = False,
        context_length: int | None = None,
    ) -> Settings:
        calls_max = min(request.get("max_tool_calls") or limits.tool_calls_max, limits.tool_calls_max)
        compacts = [each.get("compact_threshold") for each in request.get("context_management") or ()]
        return cls(
            rounds_max=min(request.get("max_infer_iters") or limits.rounds, limits.rounds_max),
            tool_calls_max=calls_max,
            tool_calls_of="max_tool_calls" if calls_max == request.get("max_tool_calls") else setting("tool_calls_max"),
            output_tokens_max=request.get("max_output_tokens"),
            parallel=request.get("parallel_tool_calls") is not False,
            tool_choice=request.get("tool_choice") or "auto",
            compact_at=min((at for at in compacts if at), default=None),
            truncations_max=limits.truncations_max if request.get("truncation") == "auto" else 0,
            tools_told=tools_told,
            room=context_length
            and room_for_tools(context_length, request.get("instructions"), request.get("max_output_tokens")),
        )


class State:
    """`before` and `input` are what there is to answer, `bound` the tools of the request, in its order.

    `output` is what the response has come to, and `context` what the model is shown of it all.
    """

    def __init__(
        self,
        settings: Settings,
        before: Sequence[Entry],
        input: Sequence[Entry],
        bound: Sequence[Bound] = (),
        *,
        response_id: str = "",
    ) -> None:
        self.output: list[Entry] = []
        self.context = since_compaction([*before, *input])
        self.usage: Usage | None = None
        self.service_tier: str | None = None
        self.rounds = 0
        self._settings = settings
        self._response_id = response_id
        self._before, self._input = before, input
        self._bound = list(bound)
        self._tools: list[BoundTool] = []
        self._number = 0
        self._tool_calls = 0
        self._truncations = 0
        self._compacted = False
        self._compacts_only = bool(input) and input[-1].item.get("type") == "compaction_trigger"
        self._pending = False
        self._plan: list[Planned | Entry] = []
        self._end: Finish | None = None
        self._tokens = tokens_of(self.context) if settings.compact_at else 0
        if not self._listings():
            self._begin()

    @property
    def tools(self) -> Sequence[BoundTool]:
        return self._tools

    # --- what is next

    def next(self) -> Effect:
        listings = self._listings()
        calls = tuple(slot for slot in self._plan if isinstance(slot, Planned))
        if self._end is not None:
            return self._end
        if listings:
            return ListTools(listings)
        if calls:
            return RunTools(calls, self._room(len(calls)))
        if self._pending:
            return Finish(RunStatus.COMPLETED)
        return self._limit() or self._compaction() or self._ask()

    def _listings(self) -> tuple[Listing, ...]:
        return tuple(bound.listing for bound in self._bound if bound.listing is not None)

    def _room(self, calls: int) -> int | None:
        room = self._settings.room
        return None if room is None else max(0, room - tokens_of(self.context)) // calls

    def _limit(self) -> Finish | None:
        if self.rounds >= self._settings.rounds_max:
            return Finish(RunStatus.INCOMPLETE, "max_iterations_exceeded")
        left = self._output_tokens_left()
        return None if left is None or left > 0 else Finish(RunStatus.INCOMPLETE, "max_output_tokens")

    def _output_tokens_left(self) -> int | None:
        budget = self._settings.output_tokens_max
        return None if budget is None else budget - (self.usage.output_tokens if self.usage else 0)

    def _compaction(self) -> Compact | None:
        threshold = self._settings.compact_at
        if self._compacts_only:
            return Compact(self._number, tuple(self.context))
        if threshold is None or self._compacted or self._tokens <= threshold:
            return None
        stays = len(newest_user_turn(self.context)) + sum(map(is_instruction, self.context))
        return Compact(self._number, tuple(self.context)) if len(self.context) > stays else None

    def _ask(self) -> Ask:
        choice = self._choice()
        return Ask(self._number, tuple(self.context), choice, tuple(self._tools), self._output_tokens_left())

    def _choice(self) -> ChatChoice:
        if self._settings.tools_told:
            return ChatChoice((), None)
        tools = offered(self._tools, [*self._before, *self._input, *self.output])
        return chat_choice(self._settings.tool_choice, tools, first_round=self.rounds == 0)

    # --- what has happened

    def listed(self, entries: Mapping[str, Entry]) -> None:
        """`entries` by the keys of the listings that were asked for."""
        for at, bound in enumerate(self._bound):
            if bound.listing is not None:
                entry = entries[bound.listing.key]
                self._add(entry)
                self._bound[at] = Bound([*bound.tools, *bound.listing.tools(entry)])
        self._begin()

    def answered(self, generated: Generated) -> None:
        choice = self._choice()
        self.rounds += 1
        self._number += 1
        self._compacted = False
        self._count(generated.usage)
        self.service_tier = generated.service_tier or self.service_tier
        for entry in generated.entries:
            self._add(entry, counted=generated.usage is not None)
        reason = INCOMPLETE.get(generated.finish_reason or "")
        if reason is not None:
            self._end = Finish(RunStatus.INCOMPLETE, reason)
            return
        self._pending = any(entry.item.get("type") in CALLER_CALLS for entry in generated.entries)
        if not generated.calls and not self._pending:
            self._end = Finish(RunStatus.COMPLETED)
            return
        tools = {tool.name: tool for tool in choice.offered}
        self._plan = [self._planned(call, tools.get(call.call.name)) for call in generated.calls]
        self._settle({})

    def failed(self, error: RunError) -> None:
        """The model could not be asked."""
        self._number += 1
        if error.code == "context_length_exceeded" and self._truncations < self._settings.truncations_max:
            kept = without_oldest(self.context)
            if kept is not None:
                self._truncations += 1
                self.context = kept
                return
        self._end = Finish(RunStatus.FAILED, error=error)

    def ran(self, results: Mapping[str, Ran]) -> None:
        """`results` by the item ids of the planned calls."""
        self._settle(results)

    def compacted(self, entry: Entry, usage: Usage | None) -> None:
        self._compacted = True
        self._count(usage)
        turn = newest_user_turn(self.context)
        self.output.append(entry)
        self.context = [
            *(each for each in self.context if is_instruction(each)),
            entry,
            *(self.context[at] for at in turn),
        ]
        self._tokens = tokens_of(self.context)
        if self._compacts_only:
            self._end = Finish(RunStatus.COMPLETED)

    def not_compacted(self, error: RunError) -> None:
        """The model is asked with what there is, unless a compaction is all that was asked for."""
        self._compacted = True
        if self._compacts_only:
            self._end = Finish(RunStatus.FAILED, error=error)

    def refused(self, entry: Entry) -> None:
        """A guardrail answers in the model's place."""
        self._add(entry)
        self._end = Finish(RunStatus.COMPLETED)

    # --- tools

    def _begin(self) -> None:
        """All tools are known: what the caller has approved can run, and what is searched before the model is asked."""
        self._tools = distinct([tool for bound in self._bound for tool in bound.tools])
        self._plan = [self._of_approved(verdict) for verdict in approved(self._before, self._input)]
        if self._settings.tools_told and self._settings.tool_choice != "none":
            calls = searches_first(self._tools, self._input, self._response_id)
            self._plan += [self._within_limit(planned) for planned in calls]
        self._settle({})

    def _of_approved(self, verdict: Approved) -> Planned | Entry:
        tool = next((tool for tool in self._tools if verdict.is_of(tool)), None)
        if tool is None or tool.runner is None:
            return _answer(verdict.call, f"The tool {verdict.name!r} of {verdict.label!r} is not there any more.")
        if verdict.pin is not None and tool.pin is not None and verdict.pin != tool.pin:
            return approval_request(verdict.item_id("mcp_approval_request", self._response_id), verdict.call, tool)
        item_id = verdict.item_id("mcp_call", self._response_id)
        return self._within_limit(Planned(item_id, verdict.call, tool, verdict.request_id, verdict.pin))

    def _planned(self, made: ServerCall, tool: BoundTool | None) -> Planned | Entry:
        call = made.call if made.call.arguments.strip() else msgspec.structs.replace(made.call, arguments="{}")
        if tool is None or tool.runner is None:
            return _answer(call, f"There is no tool named {call.name!r}.")
        if json_object(call.arguments) is None:
            return _answer(call, "The arguments are not a JSON object. Call the tool again with valid arguments.")
        if tool.needs_approval:
            return approval_request(id_as("mcp_approval_request", made.item_id), call, tool)
        return self._within_limit(Planned(made.item_id, call, tool))

    def _within_limit(self, planned: Planned) -> Planned | Entry:
        limit = self._settings.tool_calls_max
        if self._tool_calls >= limit:
            of = self._settings.tool_calls_of
            return _answer(planned.call, f"Not run: this response may call no more than {limit} tools ({of}).")
        self._tool_calls += 1
        return planned

    def _settle(self, results: Mapping[str, Ran]) -> None:
        """Put what became of the plan into the context, in the order of the calls, once all of it is there."""
        if any(isinstance(slot, Planned) and slot.item_id not in results for slot in self._plan):
            return
        plan, self._plan, beside_callers = self._plan, [], self._pending
        for at, slot in enumerate(plan):
            for entry in _outcome(slot, results):
                entry.together = entry.call is not None and (at > 0 or beside_callers)
                self._add(entry)
                self._pending = self._pending or entry.item.get("type") == "mcp_approval_request"

    # --- entries

    def _add(self, entry: Entry, *, counted: bool = False) -> None:
        self.context.append(entry)
        if entry.item:
            self.output.append(entry)
        if self._settings.compact_at and not counted:
            self._tokens += tokens_of([entry])

    def _count(self, usage: Usage | None) -> None:
        if usage is None:
            return
        self._tokens = usage.input_tokens + usage.output_tokens
        self.usage = total(self.usage, usage)


def only_first(generated: Generated) -> Generated:
    """Without all calls but the first; one of the caller's comes before those that the server runs."""
    entries, found = [], False
    for entry in generated.entries:
        if entry.item.get("type") in CALLER_CALLS:
            if found:
                continue
            found = True
        entries.append(entry)
    return msgspec.structs.replace(generated, entries=entries, calls=[] if found else generated.calls[:1])


def _outcome(slot: Planned | Entry, results: Mapping[str, Ran]) -> list[Entry]:
    if isinstance(slot, Entry):
        return [slot]
    result = results[slot.item_id]
    if isinstance(result, Changed):
        return [approval_request(id_as("mcp_approval_request", slot.item_id), slot.call, slot.tool, pin=result.pin)]
    return result


def _answer(call: ModelCall, shown: str) -> Entry:
    """For the model alone: no item."""
    return Entry({}, call=call, shown=shown)
