"""OpenAI's moderations, answered by shields. What could not be judged is an error, never "not flagged"."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Final

from llama_stack.agent.together import together
from llama_stack.config.safety import ModerationLimits
from llama_stack.services.safety.shields import SHOWN_ID_CHARS_MAX, ShieldRouter
from llama_stack.services.safety.verdicts import Judged, shield_request, verdict_of
from llama_stack_api.errors import InvalidRequest, ModelNotFound, ProviderError
from llama_stack_api.openai.moderations import (
    CreateModerationRequest,
    CreateModerationResponse,
    ModerationText,
    ModerationVerdict,
)
from llama_stack_api.principal import Call
from llama_stack_api.shields import Shield

DEFAULT_MODELS: Final = frozenset(
    {"omni-moderation-latest", "omni-moderation-2024-09-26", "text-moderation-latest", "text-moderation-stable"}
)
"""OpenAI's names, which its client sends by default: whoever names them means the shield that stands for moderation."""


class ModerationService:
    """`default_shield_id` stands for requests that name no shield of ours; without it, the only shield does."""

    def __init__(
        self, shields: ShieldRouter, *, default_shield_id: str | None = None, limits: ModerationLimits | None = None
    ) -> None:
        self._shields = shields
        self._default = default_shield_id
        self._limits = limits or ModerationLimits()

    async def create(self, request: CreateModerationRequest, call: Call) -> CreateModerationResponse:
        """A verdict for each text of a list, in order; one for parts together. `model` of the reply is the shield's."""
        judged = self._judged(request)
        shield = self._shield(request.model)
        if self._shields.moderates(shield.identifier):
            results = await self._moderated(request, shield, len(judged), call)
        else:
            results = await self._shielded(judged, shield, call)
        return CreateModerationResponse(
            id=f"modr-{secrets.token_urlsafe(18)}", model=shield.identifier, results=results
        )

    async def _moderated(
        self, request: CreateModerationRequest, shield: Shield, count: int, call: Call
    ) -> list[ModerationVerdict]:
        asked = request.model_copy(update={"model": shield.identifier})
        results = (await self._shields.moderate(asked, call)).results
        if len(results) != count:
            raise ProviderError(f"The shield {shield.identifier!r} gave {len(results)} verdicts on {count} inputs.")
        return results

    async def _shielded(self, judged: Sequence[Judged], shield: Shield, call: Call) -> list[ModerationVerdict]:
        places = asyncio.Semaphore(self._limits.concurrent_max)

        async def judge(each: Judged) -> ModerationVerdict:
            async with places:
                answer = await self._shields.run_shield(shield_request(shield.identifier, each), call)
            return verdict_of(answer, shield.identifier, each)

        return await together([judge(each) for each in judged])

    def _judged(self, request: CreateModerationRequest) -> list[Judged]:
        given, limits = request.input, self._limits
        if isinstance(given, str):
            judged: list[Judged] = [given]
        elif not given:
            raise InvalidRequest("'input' is empty: there is nothing to judge.", param="input")
        else:
            texts = [each for each in given if isinstance(each, str)]
            parts = [each for each in given if not isinstance(each, str)]
            judged = [*texts] if texts else [parts]
        if len(given) > limits.inputs_max and not isinstance(given, str):
            raise InvalidRequest(
                f"'input' holds {len(given)} texts or parts; the limit is {limits.inputs_max} "
                "(safety.moderation.inputs_max).",
                param="input",
            )
        chars = sum(map(_chars, judged))
        if chars > limits.chars_max:
            raise InvalidRequest(
                f"'input' holds {chars} characters; the limit is {limits.chars_max} (safety.moderation.chars_max).",
                param="input",
            )
        return judged

    def _shield(self, model: str | None) -> Shield:
        shields = self._shields.shields()
        if model is not None:
            for shield in shields:
                if shield.identifier == model:
                    return shield
            for shield in shields:
                if shield.provider_shield_id == model:
                    return shield
            if model not in DEFAULT_MODELS:
                raise ModelNotFound(
                    f"There is no moderation model {model[:SHOWN_ID_CHARS_MAX]!r}; {_known(shields)}.", param="model"
                )
        return self._default_of(shields)

    def _default_of(self, shields: Sequence[Shield]) -> Shield:
        if self._default is None and len(shields) == 1:
            return shields[0]
        for shield in shields:
            if shield.identifier == self._default:
                return shield
        raise InvalidRequest(
            "Name the shield that is to judge in 'model', as the run config sets no safety.default_shield_id; "
            f"{_known(shields)}.",
            param="model",
            code="no_default_shield",
        )


def _chars(judged: Judged) -> int:
    if isinstance(judged, str):
        return len(judged)
    return sum(len(part.text) for part in judged if isinstance(part, ModerationText))


def _known(shields: Sequence[Shield]) -> str:
    ids = ", ".join(shield.identifier for shield in shields)
    return f"registered shields: {ids}" if ids else "no shields are registered (registered_resources.shields)"
