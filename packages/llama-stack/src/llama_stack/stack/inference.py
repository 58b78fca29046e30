"""Inference: the models there are, whoever serves them, and the shields and guards around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llama_stack.agent.attachments import FetchedAttachments
from llama_stack.routing.discovery import Discovery
from llama_stack.routing.models import ModelTable
from llama_stack.routing.opening import OpenProvider
from llama_stack.services.chat_images import ChatImages
from llama_stack.services.completions import StoredCompletions
from llama_stack.services.inference import InferenceRouter
from llama_stack.services.messages.names import ModelNames
from llama_stack.services.provider_apis import InferenceApi
from llama_stack.stack.foundation import Foundation
from llama_stack.stack.models import SYSTEM_TENANT, open_attempts, open_models
from llama_stack.stack.safety import Safety, open_safety
from llama_stack.storage.sql.completions import CompletionStore
from llama_stack_api.api import Api


@dataclass(frozen=True, slots=True)
class InferenceParts:
    """`router` asks providers, without any guard; `safety` has the guarded views of it. `providers` are those of all
    APIs."""

    models: ModelTable
    discovery: Discovery
    names: ModelNames
    stored: StoredCompletions
    router: InferenceRouter
    safety: Safety
    providers: Sequence[OpenProvider]


async def open_inference(base: Foundation) -> InferenceParts:
    config, stores = base.config, base.config.storage.stores
    stored = StoredCompletions(await _completions(base))
    listings = base.metadata.bind(SYSTEM_TENANT, stores.metadata.namespace)
    models, discovery = await open_models(config, base.opener, listings, base.metrics, base.exits)
    names = ModelNames(
        models, config.server.messages.model_names, first_discovery_wait_s=config.server.routing.discovery_wait_s
    )
    attempts = await open_attempts(config.server, base.storage, discovery, base.metrics, base.exits)
    images = ChatImages(FetchedAttachments(base.egress, limits=config.server.responses.attachments))
    router = InferenceRouter(table=models, attempts=attempts, metrics=base.metrics, recorder=stored, images=images)
    base.dependencies.be(Api.inference, InferenceApi(router))
    safety = await open_safety(config, base.opener, base.dependencies.handed, router, stored, base.exits)
    return InferenceParts(models, discovery, names, stored, router, safety, list(base.opener.opened.values()))


async def _completions(base: Foundation) -> CompletionStore:
    reference = base.config.storage.stores.inference
    store = CompletionStore(await base.storage.sql(reference), max_age_s=reference.max_age_seconds)
    await store.open()
    base.exits.push_async_callback(store.close)
    return store
