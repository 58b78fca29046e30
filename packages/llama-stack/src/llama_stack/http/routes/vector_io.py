"""Chunks as a client makes them: with embeddings of its own."""

from enum import Enum

from fastapi import FastAPI, Response

from llama_stack.http.routes.parts import CallOf, shown
from llama_stack.services.vector_stores.raw import RawChunks
from llama_stack_api.vector_io import InsertChunksRequest, QueryChunksRequest, QueryChunksResponse

PATH = "/v1/vector-io"
TAGS: list[str | Enum] = ["Vector IO"]


def add_vector_io_routes(app: FastAPI, raw: RawChunks) -> None:
    @app.post(PATH + "/insert", tags=TAGS, summary="Insert chunks into a vector store.", status_code=204)
    async def insert_chunks(body: InsertChunksRequest, call: CallOf) -> None:
        await raw.insert(body, call)

    @app.post(
        PATH + "/query",
        tags=TAGS,
        summary="Search a vector store; chunks come with their embeddings.",
        response_model=QueryChunksResponse,
    )
    async def query_chunks(body: QueryChunksRequest, call: CallOf) -> Response:
        return shown(await raw.query(body, call))
