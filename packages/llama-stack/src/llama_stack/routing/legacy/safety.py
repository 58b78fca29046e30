"""Safety: shields that are told of, moderation, and failures that must not pass for a pass."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from llama_stack.routing.legacy.calls import has
from llama_stack_api.errors import InvalidRequest, NotFound, ProviderError
from llama_stack_api.openai.chat_messages import Message, TextPart
from llama_stack_api.openai.moderations import (
    CreateModerationRequest,
    CreateModerationResponse,
    ModerationText,
    ModerationVerdict,
    verdict,
)
from llama_stack_api.principal import Call
from llama_stack_api.safety import (
    ModerationObject,
    ModerationObjectResults,
    RunModerationRequest,
    RunShieldRequest,
    RunShieldResponse,
    ViolationLevel,
)
from llama_stack_api.shields import GetShieldRequest, Shield

Method = Callable[..., Any]
FAILED = "error"
"""The `status` that packages write into metadata where they could not judge."""


class LegacyShieldStore:
    """Where a legacy safety provider looks up the shield that it is asked to run: its attribute `shield_store`."""

    def __init__(self) -> None:
        self._shields: dict[str, Shield] = {}

    def add(self, shield: Shield) -> None:
        self._shields[shield.identifier] = shield

    async def get_shield(self, request: GetShieldRequest | str) -> Shield:
        """By request, as in llama-stack-api 0.5 and later, or by id, as before."""
        shield_id = request if isinstance(request, str) else request.identifier
        if shield_id not in self._shields:
            raise NotFound(f"There is no shield {shield_id[:200]!r} of this provider.", param="shield_id")
        return self._shields[shield_id]


def safety_methods(
    impl: Any, without_call: Callable[[Method], Method], shields: LegacyShieldStore
) -> Iterator[tuple[str, Method]]:
    impl.shield_store = shields
    adapter = _Safety(impl, without_call, shields)
    yield "register_shield", adapter.register_shield
    if has(impl, "run_shield"):
        yield "run_shield", adapter.run_shield
    if has(impl, "run_moderation"):
        yield "moderate", adapter.moderate


class _Safety:
    def __init__(self, impl: Any, without_call: Callable[[Method], Method], shields: LegacyShieldStore) -> None:
        self._impl = impl
        self._without_call = without_call
        self._shields = shields

    async def register_shield(self, shield: Shield) -> None:
        if has(self._impl, "register_shield"):
            await self._impl.register_shield(shield)
        self._shields.add(shield)

    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        """Such a provider reads contents as text: parts that are text alone arrive as one."""
        asked = request.model_copy(update={"messages": [_plain(message) for message in request.messages]})
        run = self._without_call(self._impl.run_shield)
        if len(inspect.signature(self._impl.run_shield).parameters) > 1:  # as before llama-stack-api 0.5
            said = await run(asked.shield_id, asked.messages, call)
        else:
            said = await run(asked, call)
        answer = RunShieldResponse.model_validate(said, from_attributes=True)
        _check_judged(answer)
        return answer

    async def moderate(self, request: CreateModerationRequest, call: Call) -> CreateModerationResponse:
        """Such a provider knows a shield by its own name, and text alone."""
        shield = await self._shields.get_shield(request.model or "")
        run = self._without_call(self._impl.run_moderation)
        texts = _texts(request)
        if len(inspect.signature(self._impl.run_moderation).parameters) > 1:
            found = await run(texts, shield.provider_shield_id, call)
        else:
            found = await run(RunModerationRequest(input=texts, model=shield.provider_shield_id), call)
        judged = ModerationObject.model_validate(found, from_attributes=True)
        for each in judged.results:
            if not each.flagged and each.metadata.get("status") == FAILED:
                raise _not_judged(each.metadata)
        return CreateModerationResponse(
            id=judged.id, model=shield.identifier, results=[_verdict(each) for each in judged.results]
        )


def _check_judged(answer: RunShieldResponse) -> None:
    """`ProviderError` where a package says in its metadata that it could not judge, whatever else it says."""
    found = answer.violation
    if found is None:
        return
    if found.metadata.get("status") == FAILED:
        raise _not_judged(found.metadata)
    results = found.metadata.get("results")
    for each in results if isinstance(results, list) and found.violation_level != ViolationLevel.ERROR else ():
        if isinstance(each, dict) and each.get("status") == FAILED:
            raise _not_judged(each)


def _not_judged(metadata: dict[str, Any]) -> ProviderError:
    return ProviderError(f"The shield could not judge: {str(metadata.get('error') or 'it does not say why')[:500]}")


def _plain(message: Message) -> Message:
    content = message.content
    if not isinstance(content, list) or not all(isinstance(part, TextPart) for part in content):
        return message
    text = "\n".join(part.text for part in content if isinstance(part, TextPart))
    return message.model_copy(update={"content": text})


def _texts(request: CreateModerationRequest) -> str | list[str]:
    if isinstance(request.input, str):
        return request.input
    texts = [each for each in request.input if isinstance(each, str)]
    if texts:
        return texts
    if not all(isinstance(part, ModerationText) for part in request.input):
        raise InvalidRequest("This moderation model judges text alone; leave out the images.", param="input")
    return "\n".join(part.text for part in request.input if isinstance(part, ModerationText))


def _verdict(found: ModerationObjectResults) -> ModerationVerdict:
    made = verdict(
        found.category_scores or {},
        found.categories or {},
        ["text"],
        user_message=found.user_message,
        metadata=found.metadata or None,
    )
    # Flagged, perhaps without a category.
    return made.model_copy(update={"flagged": found.flagged or made.flagged})
