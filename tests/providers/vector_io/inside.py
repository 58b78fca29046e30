"""Providers whose index is inside the server, of its own making."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from llama_stack_api.ports.vector_io import VectorIndex
from tests.providers.vector_io.suite import Engine, opened_provider


def _faiss(directory: Path, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[VectorIndex]:
    return opened_provider("inline::faiss", directory)


def _faiss_as_a_graph(directory: Path, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[VectorIndex]:
    """With a graph from the first chunks on, as a large index has it."""
    return opened_provider("inline::faiss", directory, flat_chunks_max=1)


def _sqlite_vec(directory: Path, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[VectorIndex]:
    return opened_provider("inline::sqlite-vec", directory, db_path=str(directory / "vectors.db"))


ENGINES = [
    Engine("faiss", _faiss),
    Engine("faiss with a graph", _faiss_as_a_graph, exact=False),
    Engine("sqlite-vec", _sqlite_vec),
]
