"""All of vector stores, for the HTTP layer."""

from __future__ import annotations

from dataclasses import dataclass

from llama_stack.services.vector_stores.batches import FileBatches
from llama_stack.services.vector_stores.content import FileContent
from llama_stack.services.vector_stores.files import StoreFiles
from llama_stack.services.vector_stores.raw import RawChunks
from llama_stack.services.vector_stores.search import StoreSearch
from llama_stack.services.vector_stores.stores import VectorStores


@dataclass(frozen=True, slots=True)
class VectorStoreService:
    stores: VectorStores
    files: StoreFiles
    batches: FileBatches
    content: FileContent
    search: StoreSearch
    raw: RawChunks
