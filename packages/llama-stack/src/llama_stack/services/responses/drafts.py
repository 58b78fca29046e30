"""From a request to the turn that a run is asked for: everything that can be refused is refused here, before it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from llama_stack.agent.entries import Entry, Item
from llama_stack.agent.tools.base import ToolKind
from llama_stack.agent.tools.mcp_policy import check_labels
from llama_stack.agent.turn import KIND, Turn, TurnSecrets
from llama_stack.config.responses import AgentLimits
from llama_stack.runs.model import Run
from llama_stack.runs.reader import RunReader
from llama_stack.runs.secrets import attributes_of
from llama_stack.services.items import REFERENCE, items_of
from llama_stack.services.responses.abilities import ServedModel, context_length, takes_tools
from llama_stack.services.responses.checks import check
from llama_stack.services.responses.file_searches import KnownStores, check_stores, check_told
from llama_stack.services.responses.history import ResponseHistory
from llama_stack.services.responses.outputs import check_outputs
from llama_stack.services.responses.prompts import Prompts, instructions_of
from llama_stack.services.responses.references import References, resolved
from llama_stack.services.responses.secrets import secrets_of
from llama_stack.storage.sql.conversations import ConversationStore
from llama_stack_api.errors import InvalidRequest, NotFound
from llama_stack_api.openai.responses.request import ResponseRequest
from llama_stack_api.ports.inference import ModelType
from llama_stack_api.principal import Call, Principal

DEFAULTS: Final[Mapping[str, Any]] = {"background": False, "store": True, "stream": False, "tools": []}
"""What is read here of every request. What holds elsewhere where a request says nothing is for those who read it."""

DELIVERY: Final = frozenset({"stream", "stream_options"})
"""Fields that say how the answer comes, not what is asked."""


class Models(Protocol):
    async def resolve(self, identifier: str, *, call: Call, kind: str | None = None) -> ServedModel:
        """`ModelNotFound` for a model that nobody serves, `InvalidRequest` for one of another kind."""
        ...


class KnownShields(Protocol):
    def check_known(self, shield_ids: Sequence[str]) -> None:
        """`InvalidRequest` for an id that is no shield's."""
        ...


@dataclass(frozen=True, slots=True)
class Draft:
    """A turn without its secrets, which are to be sealed for its run."""

    turn: Turn
    secrets: TurnSecrets


@dataclass(frozen=True, slots=True)
class Drafts:
    """`forwarded` are the names (lower case) of the request headers that some provider passes on."""

    models: Models
    journal: RunReader
    history: ResponseHistory
    conversations: ConversationStore
    prompts: Prompts
    references: References
    kinds: Sequence[ToolKind]
    shields: KnownShields
    stores: KnownStores | None = None
    forwarded: Collection[str] = ()
    limits: AgentLimits = field(default_factory=AgentLimits)
    clock: Callable[[], float] = time.time
    redact: Callable[[Turn, Call], Awaitable[None]] | None = None
    """Puts what shields leave of the input in its place."""

    async def draft(
        self, request: ResponseRequest, call: Call, *, before: Sequence[Entry] | None = None, response_id: str = ""
    ) -> Draft:
        """`before` are the entries of a previous response that is not stored: they stand for `previous_response_id`,
        and become a part of the input. `response_id` is the id that the response will have."""
        check(request, self.limits)
        items = items_of(request.input, response_id)
        model = await self._model(request, call)
        body = {**DEFAULTS, **_json(request, exclude={"input"}), "model": request.model}
        self._check_tools(body["tools"])
        await check_stores(body["tools"], self.stores, call)
        self._check_guardrails(body)
        if request.prompt is not None:
            body["instructions"] = await instructions_of(self.prompts, request, call.principal)
        turn = Turn(
            request=body,
            input=[],
            created_at=int(self.clock()),
            attributes=attributes_of(call.principal),
            request_id=call.request_id,
            tools_told=not await takes_tools(model, call),
            context_length=context_length(model),
        )
        if turn.tools_told:
            check_told(body)
        await self._place(turn, call.principal, unstored=before is not None)
        own = await self._resolved(items, turn, call.principal, before)
        turn.input = [*(before or ()), *own]
        await check_outputs([entry.item for entry in own], turn, self.history, call.principal)
        secrets = secrets_of(call, body["tools"], (entry.item for entry in own), self.forwarded)
        if self.redact is not None:
            await self.redact(turn, call)
        return Draft(turn, secrets)

    async def _model(self, request: ResponseRequest, call: Call) -> ServedModel:
        if not request.model:
            raise InvalidRequest(
                "Name the model in 'model'"
                + ("; stored prompts of this server name none." if request.prompt is not None else "."),
                param="model",
                code="missing_required_parameter",
            )
        return await self.models.resolve(request.model, call=call, kind=ModelType.llm)

    def _check_tools(self, tools: Sequence[Item]) -> None:
        check_labels(tools)
        for place, tool in enumerate(tools):
            kind = next((kind for kind in self.kinds if tool["type"] in kind.types), None)
            if kind is None:
                continue
            try:
                kind.check(tool)
            except InvalidRequest as error:
                error.param = f"tools[{place}]" + (f".{error.param}" if error.param else "")
                raise

    def _check_guardrails(self, body: dict[str, Any]) -> None:
        if guardrails := body.get("guardrails"):
            body["guardrails"] = [each if isinstance(each, str) else each["type"] for each in guardrails]
            self.shields.check_known(body["guardrails"])

    async def _place(self, turn: Turn, principal: Principal, *, unstored: bool) -> None:
        """Where the turn goes on from."""
        previous, conversation = turn.request.get("previous_response_id"), turn.request.get("conversation")
        if previous is not None and not unstored:
            await self._check_previous(principal, previous)
            turn.previous = previous
        elif conversation is not None:
            turn.conversation = conversation if isinstance(conversation, str) else conversation["id"]
            turn.request["conversation"] = {"id": turn.conversation}
            turn.conversation_position = await self._position(principal, turn.conversation)

    async def _position(self, principal: Principal, conversation_id: str) -> int:
        try:
            return await self.conversations.position(principal, conversation_id)
        except NotFound as error:
            error.param = "conversation"
            raise

    async def _check_previous(self, principal: Principal, response_id: str) -> None:
        try:
            run: Run | None = await self.journal.get(principal, response_id)
        except NotFound:
            run = None
        if run is None or run.kind != KIND:
            raise InvalidRequest(
                f"Previous response with id '{response_id[:100]}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        if not run.status.ended:
            raise InvalidRequest(
                f"The previous response {response_id} has not ended yet: wait for it, or cancel it.",
                param="previous_response_id",
                code="previous_response_in_progress",
            )

    async def _resolved(
        self, items: Sequence[Item], turn: Turn, principal: Principal, unstored: Sequence[Entry] | None
    ) -> list[Entry]:
        if not any(item["type"] == REFERENCE for item in items):
            return [Entry(item) for item in items]
        before = unstored if unstored is not None else await self.history.before(principal, turn)
        return await resolved(items, before, self.references, principal)


def digest_of(request: ResponseRequest) -> str:
    """Equal for requests that ask for the same."""
    return hashlib.sha256(msgspec.json.encode(_json(request, DELIVERY), order="deterministic")).hexdigest()


def _json(request: ResponseRequest, exclude: Set[str]) -> dict[str, Any]:
    """What the request says; null says nothing."""
    dumped = request.model_dump(mode="json", exclude_unset=True, exclude=set(exclude))
    return {name: value for name, value in dumped.items() if value is not None}
