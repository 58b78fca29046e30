"""Stored responses as their owner sees them: read, followed, listed, cancelled, deleted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from typing import Any

import msgspec

from llama_stack.agent.entries import Entry, Item
from llama_stack.agent.include import visible
from llama_stack.agent.response import response_json
from llama_stack.agent.snapshot import snapshot
from llama_stack.agent.turn import KIND, TURN, Turn
from llama_stack.runs.engine import RunEngine
from llama_stack.runs.model import Run, RunStatus
from llama_stack.services.pages import list_json
from llama_stack.services.responses.events import KEEP_ALIVE_S, blocks_of
from llama_stack.services.responses.history import ResponseHistory
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound
from llama_stack_api.openai.responses.operations import (
    ListInputItemsParams,
    ListResponsesParams,
    RetrieveResponseParams,
)
from llama_stack_api.principal import Call, Principal

_encode = msgspec.json.Encoder().encode
_decode_turn = msgspec.json.Decoder(Turn).decode
_decode_entries = msgspec.json.Decoder(list[Entry]).decode


class StoredResponses:
    def __init__(self, engine: RunEngine, history: ResponseHistory, *, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self._engine = engine
        self._journal = engine.journal
        self._history = history
        self._keep_alive_s = keep_alive_s

    async def get(self, response_id: str, call: Call, include: Collection[str] = ()) -> bytes:
        """The response as it is now. `include` adds to what the request that made it asked for."""
        run = await self._run(call.principal, response_id)
        return await self._shown(call.principal, run, include)

    async def events(self, response_id: str, params: RetrieveResponseParams, call: Call) -> AsyncGenerator[bytes, None]:
        """The events behind the number `starting_after`, as they were and as they come, never with obfuscation.
        `NotFound` if they are not kept any longer."""
        run = await self._run(call.principal, response_id)
        after = -1 if params.starting_after is None else params.starting_after
        tail = self._engine.tail(call.principal, run.id, starting_after=after, idle_s=self._keep_alive_s)
        return blocks_of(tail)

    async def delete(self, response_id: str, call: Call) -> None:
        """Those that go on from it can still do so."""
        run = await self._run(call.principal, response_id)
        await self._engine.delete(call.principal, run.id)

    async def cancel(self, response_id: str, call: Call) -> bytes:
        """The response; cancelled again, it stays as it is. `Conflict` if it is not in the background, or has ended."""
        run = await self._run(call.principal, response_id)
        if not run.background:
            raise Conflict("Cannot cancel a synchronous response: only those with 'background' can be cancelled.")
        if not run.status.ended:
            await self._engine.cancel(call.principal, run.id)
            run = await self._run(call.principal, response_id)
        if run.status is not RunStatus.CANCELLED:
            raise Conflict(f"Cannot cancel a response that is {run.status.value}.")
        return await self._shown(call.principal, run)

    async def list_responses(self, params: ListResponsesParams, call: Call) -> bytes:
        """A page by time of creation. Those that have not ended are as they were when they were asked for."""
        page, more = await self._journal.list_documents(
            call.principal,
            KIND,
            "result",
            label=params.model,
            after=await self._known(call.principal, params.after),
            limit=params.limit,
            order=params.order,
        )
        data = [
            msgspec.Raw(result) if result is not None else await self._unfinished(call.principal, run)
            for run, result in page
        ]
        return list_json(data, [run.id for run, _ in page], more=more)

    async def list_input_items(self, response_id: str, params: ListInputItemsParams, call: Call) -> bytes:
        """The items that the response was given: its input, and before it those of the responses that it goes on
        from."""
        run = await self._run(call.principal, response_id)
        turn = await self._turn(call.principal, run)
        before = [] if turn.previous is None else await self._history.chain(call.principal, turn.previous)
        include = _included(turn, params.include or ())
        items = [visible(entry.item, include) for entry in (*before, *turn.input)]
        page, more = _page_of(items, params)
        return list_json(page, [item["id"] for item in page], more=more)

    async def _run(self, principal: Principal, response_id: str) -> Run:
        try:
            run = await self._journal.get(principal, response_id)
        except NotFound:
            raise _missing(response_id) from None
        if run.kind != KIND:
            raise _missing(response_id)
        return run

    async def _known(self, principal: Principal, after: str | None) -> str | None:
        if after is None:
            return None
        try:
            return (await self._run(principal, after)).id
        except NotFound:
            raise InvalidRequest(f"There is no response {after[:100]!r} to go on after.", param="after") from None

    async def _turn(self, principal: Principal, run: Run) -> Turn:
        payload = await self._journal.document(principal, run.id, "payload")
        if payload is None:
            raise _missing(run.id)
        return _decode_turn(payload)

    async def _shown(self, principal: Principal, run: Run, include: Collection[str] = ()) -> bytes:
        if not run.status.ended:
            return await snapshot(await self._turn(principal, run), run, self._journal.log(run))
        result = await self._journal.document(principal, run.id, "result")
        if result is None:
            return _encode(
                response_json(await self._turn(principal, run), run.id, status=run.status.value, error=run.error)
            )
        return await self._including(principal, run, result, include) if include else result

    async def _including(self, principal: Principal, run: Run, result: bytes, include: Collection[str]) -> bytes:
        """The result holds what its request asked for; the items themselves are whole."""
        document = await self._journal.document(principal, run.id, TURN)
        whole = {entry.item["id"]: entry.item for entry in _decode_entries(document or b"[]")}
        asked = _included(await self._turn(principal, run), include)
        response = msgspec.json.decode(result)
        response["output"] = [visible(whole.get(item["id"], item), asked) for item in response["output"]]
        return _encode(response)

    async def _unfinished(self, principal: Principal, run: Run) -> dict[str, Any]:
        status = "in_progress" if run.status is RunStatus.RUNNING else run.status.value
        return response_json(await self._turn(principal, run), run.id, status=status)


def _missing(response_id: str) -> NotFound:
    return NotFound(f"Response with id '{response_id[:100]}' not found.", param="response_id")


def _included(turn: Turn, include: Collection[str]) -> frozenset[str]:
    return frozenset((*turn.request.get("include", ()), *include))


def _page_of(items: list[Item], params: ListInputItemsParams) -> tuple[list[Item], bool]:
    """Up to `limit` items behind `after`, or up to `before`; whether there are more in that direction."""
    items = items[::-1] if params.order == "desc" else items
    if params.before is not None and params.after is not None:
        raise InvalidRequest("Give only one of 'after' and 'before'.", param="before")
    if params.before is not None:
        items = items[: _index(items, params.before, "before")]
        return items[-params.limit :], len(items) > params.limit
    if params.after is not None:
        items = items[_index(items, params.after, "after") + 1 :]
    return items[: params.limit], len(items) > params.limit


def _index(items: list[Item], item_id: str, param: str) -> int:
    for index, item in enumerate(items):
        if item["id"] == item_id:
            return index
    raise InvalidRequest(f"There is no input item {item_id[:100]!r} here.", param=param)
