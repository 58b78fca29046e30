"""What an Ollama server has, what each of its models can do, and how it is told to fetch more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import msgspec

from llama_stack.dialects.chat.values import mapping
from llama_stack.dialects.ollama.errors import error_of_event
from llama_stack.providers._shared.openai_compatible import OpenAICompatibleConfig, Upstream
from llama_stack.providers._shared.translated_stream import JsonLines
from llama_stack_api.errors import LlamaStackError, ModelNotFound, ProviderError, ProviderStreamBroken
from llama_stack_api.ports.inference import ModelType, ProviderModel, PullProgress
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext

SHOWN_AT_ONCE: Final = 8
SHOWN_MAX: Final = 512
"""Models that one listing asks about. What is known of the others is asked by the listings that follow."""
_TALKS_TO: Final = ("completion", "vision", "thinking", "tools")
_EMBEDDING_FAMILIES: Final = ("bert", "nomic-bert", "nomic-bert-moe")


class OllamaModels(Upstream):
    """`ModelListing`, `TellsTools` and `PullsModels` by Ollama's own routes. A proxy that has none of them is listed by
    OpenAI's, and is taken to have models that can call tools."""

    def __init__(self, config: OpenAICompatibleConfig, context: ProviderContext) -> None:
        super().__init__(config, context)
        self._known: dict[tuple[str, str | None], ProviderModel] = {}

    def native(self, path: str, call: Call) -> str:
        """An address of Ollama's own API."""
        return self.base_url(call).removesuffix("/v1") + path

    def adapted(self, model: ProviderModel) -> ProviderModel:
        """What a subclass's config changes of a model."""
        return model

    async def list_models(self, call: Call) -> list[ProviderModel]:
        try:
            tags = await self.tags(call)
        except ModelNotFound:  # what an unknown route is, too
            return await super().list_models(call)
        allowed = self.config.allowed_models
        tags = [tag for tag in tags if allowed is None or tag["name"] in allowed]
        unknown = [tag for tag in tags if _key(tag) not in self._known]
        await self._ask_about(unknown[:SHOWN_MAX], call)
        self._known = {_key(tag): self._known[_key(tag)] for tag in tags if _key(tag) in self._known}
        return [self.adapted(self._known.get(_key(tag)) or _by_family(tag)) for tag in tags]

    async def takes_tools(self, model: str, call: Call) -> bool:
        known = next((found for (name, _), found in self._known.items() if name == model), None)
        try:
            found = known or await self._show(model, call)
        except ModelNotFound:
            return True
        return bool(found.metadata.get("tool_calling", True))

    async def tags(self, call: Call) -> list[dict[str, Any]]:
        """The models that are there, as Ollama lists them."""
        listed = await self.get_json(self.native("/api/tags", call), call)
        models = listed.get("models") if isinstance(listed, dict) else None
        if not isinstance(listed, dict) or not isinstance(models or [], list):
            raise ProviderError(f"Provider '{self.name}' answered with something that is not a list of models.")
        return [tag for tag in models or [] if isinstance(tag, dict) and isinstance(tag.get("name"), str)]

    async def pull_model(self, model: str, call: Call) -> AsyncIterator[PullProgress]:
        body = msgspec.json.encode({"model": model, "stream": True})
        reply = await self.post(self.native("/api/pull", call), body, call)
        reader, status = JsonLines(), ""
        try:
            async for data in reply.chunks():
                for progress in map(self._progress, reader.feed(data)):
                    status = progress.status
                    yield progress
            for progress in map(self._progress, reader.finish()):
                status = progress.status
                yield progress
        except ValueError as error:
            raise self._broken(f"{error}") from None
        finally:
            await reply.aclose()
        if status != "success":
            raise self._broken("it ended before the model was there")

    def _progress(self, event: dict[str, Any]) -> PullProgress:
        if (error := error_of_event(event, self.name)) is not None:
            raise error
        status, completed, total = event.get("status"), event.get("completed"), event.get("total")
        return PullProgress(
            status if isinstance(status, str) else "",
            completed if isinstance(completed, int) else 0 if isinstance(total, int) else None,
            total if isinstance(total, int) else None,
        )

    def _broken(self, reason: str) -> ProviderStreamBroken:
        return ProviderStreamBroken(f"Provider '{self.name}' broke off fetching a model: {reason}.")

    async def _ask_about(self, tags: list[dict[str, Any]], call: Call) -> None:
        """A digest never changes what it names, so each model is asked about once."""
        turn = asyncio.Semaphore(SHOWN_AT_ONCE)

        async def ask(tag: Mapping[str, Any]) -> None:
            async with turn:
                try:
                    self._known[_key(tag)] = await self._show(tag["name"], call)
                except LlamaStackError as error:
                    failures.append(error)

        failures: list[LlamaStackError] = []
        await asyncio.gather(*map(ask, tags))
        if tags and len(failures) == len(tags) and not isinstance(failures[0], ModelNotFound):
            raise failures[0]

    async def _show(self, model: str, call: Call) -> ProviderModel:
        body = msgspec.json.encode({"model": model})
        shown = await self.decoded(await self.post(self.native("/api/show", call), body, call))
        if not isinstance(shown, dict):
            raise ProviderError(f"Provider '{self.name}' answered with something that does not describe a model.")
        return _described(model, shown)


def _key(tag: Mapping[str, Any]) -> tuple[str, str | None]:
    return tag["name"], tag.get("digest")


def _described(name: str, shown: Mapping[str, Any]) -> ProviderModel:
    """`model_info` has its figures under the architecture's name: `nomic-bert.embedding_length`."""
    info = {key.rpartition(".")[2]: value for key, value in mapping(shown.get("model_info")).items()}
    metadata: dict[str, Any] = {"context_length": info["context_length"]} if "context_length" in info else {}
    if (loaded := _parameter(shown.get("parameters"), "num_ctx")) is not None:
        metadata["context_length"] = loaded
    capabilities = shown.get("capabilities")
    if not isinstance(capabilities, list):  # before Ollama 0.6.4
        return _by_family({"name": name, "details": shown.get("details")}, metadata)
    if "embedding" in capabilities:
        if "embedding_length" in info:
            metadata["embedding_dimension"] = info["embedding_length"]
        return ProviderModel(name, ModelType.embedding, metadata)
    if any(ability in capabilities for ability in _TALKS_TO):
        metadata["tool_calling"] = "tools" in capabilities
        metadata |= {ability: True for ability in ("vision", "thinking") if ability in capabilities}
    return ProviderModel(name, ModelType.llm, metadata)


def _by_family(tag: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> ProviderModel:
    """What can be told of a model that says nothing of its capabilities."""
    families = mapping(tag.get("details")).get("families")
    embeds = isinstance(families, list) and any(family in _EMBEDDING_FAMILIES for family in families)
    return ProviderModel(tag["name"], ModelType.embedding if embeds else ModelType.llm, dict(metadata or {}))


def _parameter(parameters: Any, name: str) -> int | None:
    """A whole number of a Modelfile's `PARAMETER` lines, which are a name, white space and a value."""
    for line in parameters.splitlines() if isinstance(parameters, str) else ():
        key, _, value = line.strip().partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return None
