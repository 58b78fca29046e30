"""The server's own APIs as providers get them by `api_dependencies`: each method takes the `call` that it is for.

The names are those of llama-stack-api 0.7 where it had one, so that a package of that time finds them too. None of them
passes a guard: what a shield asks would ask the shield again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from llama_stack.routing.models import ModelTable
from llama_stack.services.files.service import FileService
from llama_stack.services.inference import InferenceRouter, Served
from llama_stack.services.models import ModelService
from llama_stack.services.safety.moderations import ModerationService
from llama_stack.services.safety.shields import ShieldRouter
from llama_stack.services.vector_stores.service import VectorStoreService
from llama_stack_api.errors import NotFound, ProviderError
from llama_stack_api.files import (
    DeleteFileRequest,
    OpenAIFileDeleteResponse,
    OpenAIFileObject,
    RetrieveFileContentRequest,
    RetrieveFileRequest,
)
from llama_stack_api.models import GetModelRequest, ListModelsResponse, Model
from llama_stack_api.native.rerank import RerankRequest, RerankResponse
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest
from llama_stack_api.openai.completions import Completion, CompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.openai.models import ModelList
from llama_stack_api.openai.moderations import CreateModerationRequest
from llama_stack_api.ports.inference import ModelType
from llama_stack_api.ports.tool_runtime import ToolInvocation
from llama_stack_api.principal import Call
from llama_stack_api.safety import (
    ModerationObject,
    ModerationObjectResults,
    RunModerationRequest,
    RunShieldRequest,
    RunShieldResponse,
)
from llama_stack_api.shields import GetShieldRequest, ListShieldsResponse, Shield
from llama_stack_api.tools import ListToolDefsResponse, ToolInvocationResult
from llama_stack_api.vector_io import (
    InsertChunksRequest,
    OpenAISearchVectorStoreRequest,
    QueryChunksRequest,
    QueryChunksResponse,
    VectorStoreSearchResponsePage,
)
from llama_stack_api.wire import EncodedReply, EncodedStream

WHOLE_BYTES_MAX: Final = 100 * 1024 * 1024
"""Of a file that a provider asks for."""


class Later:
    """An API that providers are handed before the server has it: they are opened first, and ask once they serve."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._api: Any = None

    def be(self, api: Any) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._api is None:
            raise ProviderError(
                f"The API '{self._name}' is not served yet: it can be asked once the server has started."
            )
        return getattr(self._api, name)


class InferenceApi:
    """`params.model` is a model of the server's."""

    def __init__(self, inference: InferenceRouter) -> None:
        self._inference = inference

    async def openai_chat_completion(
        self, params: ChatCompletionRequest, call: Call
    ) -> EncodedReply[ChatCompletion] | EncodedStream:
        served = await self._inference.openai_chat_completion(params, call)
        return EncodedReply(served.body, ChatCompletion) if isinstance(served.body, bytes) else _Blocks(served.body)

    async def openai_completion(
        self, params: CompletionRequest, call: Call
    ) -> EncodedReply[Completion] | EncodedStream:
        served = await self._inference.openai_completion(params, call)
        return EncodedReply(served.body, Completion) if isinstance(served.body, bytes) else _Blocks(served.body)

    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> EncodedReply[EmbeddingsResponse]:
        return EncodedReply(_whole(await self._inference.openai_embeddings(params, call)), EmbeddingsResponse)

    async def rerank(self, request: RerankRequest, call: Call) -> EncodedReply[RerankResponse]:
        return EncodedReply(_whole(await self._inference.rerank(request, call)), RerankResponse)


class _Blocks(EncodedStream):
    def __init__(self, blocks: AsyncGenerator[bytes, None]) -> None:
        self._blocks = blocks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._blocks

    async def aclose(self) -> None:
        await self._blocks.aclose()


def _whole(served: Served) -> bytes:
    assert isinstance(served.body, bytes)
    return served.body


class ModelsApi:
    def __init__(self, models: ModelService, table: ModelTable) -> None:
        self._models = models
        self._table = table

    async def openai_list_models(self, call: Call) -> ModelList:
        return await self._models.list_models(call)

    async def list_models(self, call: Call) -> ListModelsResponse:
        listed = await self._models.list_models(call)
        return ListModelsResponse(data=[self._model(each.id) for each in listed.data])

    async def get_model(self, request: GetModelRequest | str, call: Call) -> Model:
        found = await self._models.get_model(request if isinstance(request, str) else request.model_id, call)
        return self._model(found.id)

    def _model(self, identifier: str) -> Model:
        entry = self._table.lookup(identifier)
        if entry is None:  # of this request's key alone
            return Model(identifier=identifier, provider_id="")
        target = entry.targets[0]
        return Model(
            identifier=entry.identifier,
            provider_id=target.provider_id,
            provider_resource_id=target.provider_resource_id,
            model_type=ModelType(entry.kind),
            metadata=dict(entry.metadata),
        )


class SafetyApi:
    def __init__(self, shields: ShieldRouter, moderations: ModerationService) -> None:
        self._shields = shields
        self._moderations = moderations

    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        return await self._shields.run_shield(request, call)

    async def run_moderation(self, request: RunModerationRequest, call: Call) -> ModerationObject:
        asked = CreateModerationRequest(input=request.input, model=request.model)
        made = await self._moderations.create(asked, call)
        results = [ModerationObjectResults.model_validate(each.model_dump(by_alias=True)) for each in made.results]
        return ModerationObject(id=made.id, model=made.model, results=results)

    async def list_shields(self, call: Call) -> ListShieldsResponse:
        return await self._shields.list_shields(call)

    async def get_shield(self, request: GetShieldRequest | str, call: Call) -> Shield:
        return await self._shields.get_shield(request if isinstance(request, str) else request.identifier, call)


class VectorIOApi:
    def __init__(self, stores: VectorStoreService) -> None:
        self._stores = stores

    async def insert_chunks(self, request: InsertChunksRequest, call: Call) -> None:
        await self._stores.raw.insert(request, call)

    async def query_chunks(self, request: QueryChunksRequest, call: Call) -> QueryChunksResponse:
        return await self._stores.raw.query(request, call)

    async def openai_search_vector_store(
        self, vector_store_id: str, request: OpenAISearchVectorStoreRequest, call: Call
    ) -> VectorStoreSearchResponsePage:
        page = await self._stores.search.search(vector_store_id, request, call)
        return VectorStoreSearchResponsePage.model_validate_json(page)


class FileBody:
    """A file as version 0.7 gave it: a reply with a `body`."""

    def __init__(self, body: bytes, media_type: str) -> None:
        self.body = body
        self.media_type = media_type


class FilesApi:
    def __init__(self, files: FileService) -> None:
        self._files = files

    async def openai_retrieve_file(self, request: RetrieveFileRequest, call: Call) -> OpenAIFileObject:
        return await self._files.get(request.file_id, call)

    async def openai_retrieve_file_content(self, request: RetrieveFileContentRequest, call: Call) -> FileBody:
        file = await self._files.open(request.file_id, call)
        if file.size > WHOLE_BYTES_MAX:
            raise ProviderError(
                f"The file '{file.id}' has {file.size} bytes; a provider gets at most {WHOLE_BYTES_MAX} at once."
            )
        async with aclosing(file.read(0, file.size)) as pieces:
            return FileBody(b"".join([piece async for piece in pieces]), file.content_type)

    async def openai_delete_file(self, request: DeleteFileRequest, call: Call) -> OpenAIFileDeleteResponse:
        return await self._files.delete(request.file_id, call)


class ToolRuntimeApi:
    """The tools that providers run themselves, by name; the first provider that lists one runs it."""

    def __init__(self, providers: Sequence[ToolInvocation]) -> None:
        self._providers = providers

    async def list_runtime_tools(self, tool_group_id: str | None = None, *, call: Call) -> ListToolDefsResponse:
        """All of them, or those of one group."""
        tools = [tool for each in self._providers for tool in await each.list_tools(call)]
        return ListToolDefsResponse(data=[tool for tool in tools if tool_group_id in (None, tool.toolgroup_id)])

    async def invoke_tool(self, tool_name: str, kwargs: Mapping[str, Any], *, call: Call) -> ToolInvocationResult:
        for provider in self._providers:
            if any(tool.name == tool_name for tool in await provider.list_tools(call)):
                return await provider.invoke_tool(tool_name, kwargs, call)
        raise NotFound(f"No provider has a tool {tool_name[:200]!r}.", param="tool_name")
