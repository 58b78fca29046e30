"""A package's safety providers: one blocks words, one gives scores, one asks a model. Named by `module:` in tests."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from llama_stack_api.api import Api
from llama_stack_api.errors import ProviderUnreachable
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.moderations import CreateModerationRequest, CreateModerationResponse, verdict
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider
from llama_stack_api.safety import RunShieldRequest, RunShieldResponse, SafetyViolation, ViolationLevel
from llama_stack_api.shields import Shield
from llama_stack_api.wire import EncodedReply


class NoConfig(BaseModel):
    pass


class _Known:
    def __init__(self, config: NoConfig, context: ProviderContext) -> None:
        self.context = context
        self.shields: dict[str, Shield] = {}
        self.asked: list[RunShieldRequest] = []

    async def register_shield(self, shield: Shield) -> None:
        self.shields[shield.identifier] = shield


@provider(api=Api.safety, type="inline::words", description="Blocks words.", config=NoConfig)
class Words(_Known):
    """`params` of a shield: `words`, and `level` of the violation. The word `outage` cannot be judged."""

    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        self.asked.append(request)
        params: dict[str, Any] = self.shields[request.shield_id].params or {}
        said = request.model_dump_json().lower()
        if "outage" in said:
            raise ProviderUnreachable("The words are away.")
        found = [word for word in params["words"] if word in said]
        if not found:
            return RunShieldResponse()
        metadata = {"categories": ["violence", "words"], "scores": {"violence": 0.9}}
        level = ViolationLevel(params.get("level", "error"))
        message = f"There is no talk of {len(found)} things here."
        violation = SafetyViolation(violation_level=level, user_message=message, metadata=metadata)
        return RunShieldResponse(violation=violation)


@provider(api=Api.safety, type="inline::plain", description="Blocks words that it reads.", config=NoConfig)
class Plain(_Known):
    """Reads what most shields read: the contents of messages, as far as they are text."""

    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        said = " ".join(text for message in request.messages for text in _texts(message.content))
        if "bomb" not in said:
            return RunShieldResponse()
        return RunShieldResponse(violation=SafetyViolation(violation_level=ViolationLevel.ERROR, user_message="No."))


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [part.text for part in content or () if part.type == "text"]


@provider(api=Api.safety, type="inline::scores", description="Scores texts.", config=NoConfig)
class Scores(_Known):
    async def moderate(self, request: CreateModerationRequest, call: Call) -> CreateModerationResponse:
        texts = request.input if isinstance(request.input, list) else [request.input]
        if "one too few" in texts:
            texts = texts[1:]
        results = [
            verdict({"hate": 0.8 if "hate" in str(text) else 0.1}, {"hate": "hate" in str(text)}, ["text"])
            for text in texts
        ]
        return CreateModerationResponse(id="theirs", model="theirs", results=results)


@provider(
    api=Api.safety, type="inline::asking", description="Asks.", config=NoConfig, api_dependencies=(Api.inference,)
)
class Asking(_Known):
    """Asks the shield's model whether the last message is fine: all but `yes` is no."""

    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        model = self.shields[request.shield_id].provider_shield_id
        asked = {"model": model, "messages": [{"role": "user", "content": f"Fine? {request.messages[-1].content}"}]}
        params = ChatCompletionRequest.model_validate(asked)
        reply = await self.context.deps[Api.inference].openai_chat_completion(params, call)
        assert isinstance(reply, EncodedReply)
        if reply.decode().choices[0].message.content == "yes":
            return RunShieldResponse()
        return RunShieldResponse(violation=SafetyViolation(violation_level=ViolationLevel.ERROR, user_message="No."))
