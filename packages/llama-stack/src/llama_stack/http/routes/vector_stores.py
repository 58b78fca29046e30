"""Vector stores, and searches in them."""

from enum import Enum

from fastapi import FastAPI, Response

from llama_stack.http.routes.parts import CallOf, Paged, json_response, shown
from llama_stack.services.vector_stores.search import StoreSearch
from llama_stack.services.vector_stores.stores import VectorStores
from llama_stack_api.vector_io import (
    OpenAICreateVectorStoreRequestWithExtraBody,
    OpenAISearchVectorStoreRequest,
    OpenAIUpdateVectorStoreRequest,
    VectorStoreDeleteResponse,
    VectorStoreListResponse,
    VectorStoreObject,
    VectorStoreSearchResponsePage,
)

PATH = "/v1/vector_stores"
ONE = PATH + "/{vector_store_id}"
TAGS: list[str | Enum] = ["Vector stores"]


def add_vector_store_routes(app: FastAPI, stores: VectorStores, search: StoreSearch) -> None:
    @app.post(PATH, tags=TAGS, summary="Create a vector store.", response_model=VectorStoreObject)
    async def create_vector_store(
        call: CallOf, body: OpenAICreateVectorStoreRequestWithExtraBody | None = None
    ) -> Response:
        return shown(await stores.create(body or OpenAICreateVectorStoreRequestWithExtraBody(), call))

    @app.get(PATH, tags=TAGS, summary="List your vector stores.", response_model=VectorStoreListResponse)
    async def list_vector_stores(call: CallOf, page: Paged) -> Response:
        return shown(await stores.list(call, page))

    @app.get(ONE, tags=TAGS, summary="Get a vector store.", response_model=VectorStoreObject)
    async def get_vector_store(vector_store_id: str, call: CallOf) -> Response:
        return shown(await stores.get(vector_store_id, call))

    @app.post(ONE, tags=TAGS, summary="Change a vector store.", response_model=VectorStoreObject)
    async def update_vector_store(vector_store_id: str, body: OpenAIUpdateVectorStoreRequest, call: CallOf) -> Response:
        return shown(await stores.update(vector_store_id, body, call))

    @app.delete(
        ONE, tags=TAGS, summary="Delete a vector store. Its files stay.", response_model=VectorStoreDeleteResponse
    )
    async def delete_vector_store(vector_store_id: str, call: CallOf) -> Response:
        return shown(await stores.delete(vector_store_id, call))

    @app.post(
        ONE + "/search",
        tags=TAGS,
        summary="Search a vector store for the chunks that answer a query.",
        response_model=VectorStoreSearchResponsePage,
    )
    async def search_vector_store(vector_store_id: str, body: OpenAISearchVectorStoreRequest, call: CallOf) -> Response:
        return json_response(await search.search(vector_store_id, body, call))
