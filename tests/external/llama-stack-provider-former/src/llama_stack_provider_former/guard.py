from typing import Any

from llama_stack_api import (
    Api,
    OpenAIChatCompletionRequestWithExtraBody,
    OpenAIUserMessageParam,
    RunShieldRequest,
    RunShieldResponse,
    Safety,
    SafetyViolation,
    Shield,
    ShieldsProtocolPrivate,
    ViolationLevel,
)
from llama_stack_api.shields import GetShieldRequest
from llama_stack_provider_former.config import GuardConfig


class Guard(Safety, ShieldsProtocolPrivate):
    """Asks a model; whatever has `bomb` in its answer is blocked."""

    def __init__(self, config: GuardConfig, inference: Any, policy: list[Any]) -> None:
        self.config, self.inference, self.policy = config, inference, policy
        self.known: list[str] = []

    async def register_shield(self, shield: Shield) -> None:
        self.known.append(shield.identifier)

    async def unregister_shield(self, identifier: str) -> None:
        self.known.remove(identifier)

    async def run_shield(self, request: RunShieldRequest) -> RunShieldResponse:
        shield = await self.shield_store.get_shield(GetShieldRequest(identifier=request.shield_id))
        ask = OpenAIUserMessageParam(role="user", content=str(request.messages[-1].content))
        params = OpenAIChatCompletionRequestWithExtraBody(model=self.config.model, messages=[ask])
        answer = (await self.inference.openai_chat_completion(params)).choices[0].message.content
        if "bomb" not in answer:
            return RunShieldResponse()
        metadata = {"shield": shield.provider_resource_id, "answer": answer}
        level = ViolationLevel.ERROR
        return RunShieldResponse(
            violation=SafetyViolation(violation_level=level, user_message="No.", metadata=metadata)
        )


async def get_provider_impl(config: GuardConfig, deps: dict[Any, Any], policy: list[Any]) -> Guard:
    return Guard(config, deps[Api.inference], policy)
