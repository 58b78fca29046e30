"""Safety: its providers, which may ask models, the shields that they run, and the guards made of those."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from llama_stack.agent.guardrails import Standing
from llama_stack.config.model import RunConfig
from llama_stack.routing.opening import ProviderOpener
from llama_stack.services.inference import InferenceRouter
from llama_stack.services.inference_ports import Inference, MessageInference
from llama_stack.services.safety.guarded_inference import guarded_inference, guarded_messages
from llama_stack.services.safety.guards import Guards
from llama_stack.services.safety.moderations import ModerationService
from llama_stack.services.safety.shields import ShieldRouter
from llama_stack.services.streams import Recorder
from llama_stack_api.api import Api


@dataclass(frozen=True, slots=True)
class Safety:
    """`inference` is what OpenAI's routes and batches call, `messages` what the Messages API calls: the inference
    service itself where no guard stands there. `responses` are the shields that stand at every response."""

    shields: ShieldRouter
    moderations: ModerationService
    inference: Inference
    messages: MessageInference
    responses: Standing


async def open_safety(
    config: RunConfig,
    opener: ProviderOpener,
    deps: Mapping[Api, Any],
    inference: InferenceRouter,
    recorder: Recorder,
    exits: AsyncExitStack,
) -> Safety:
    """`recorder` is that of `inference`; `deps` are those of all providers."""
    for api, entry in config.provider_entries():
        if api == Api.safety:
            await opener.open(api, entry, deps)
    opened = {each.id: each.impl for each in opener.opened.values() if each.api == Api.safety}
    shields = ShieldRouter(config.registered_resources.shields, opened)
    await shields.start()
    exits.push_async_callback(shields.close)
    guards = Guards(shields, config.safety.guards)
    return Safety(
        shields=shields,
        moderations=ModerationService(
            shields, default_shield_id=config.safety.default_shield_id, limits=config.safety.moderation
        ),
        inference=guarded_inference(inference, guards, recorder),
        messages=guarded_messages(inference, guards),
        responses=guards.standing("responses"),
    )
