"""Which embedding model a new store gets, and how long its vectors are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from llama_stack.config.vector_stores import EmbeddingModelRef
from llama_stack.routing.table import Entry
from llama_stack.services.vector_stores.ports import RoutedEmbeddings
from llama_stack_api.errors import InvalidRequest, LlamaStackError
from llama_stack_api.ports.inference import ModelType
from llama_stack_api.principal import Call


class EmbeddingModels(Protocol):
    """`routing.models.ModelTable`."""

    def entries(self) -> Sequence[Entry]: ...

    async def resolve(self, identifier: str, *, call: Call, kind: str | None = None) -> Entry: ...


class EmbeddingChoice:
    def __init__(
        self, models: EmbeddingModels, embeddings: RoutedEmbeddings, default: EmbeddingModelRef | None
    ) -> None:
        self._models = models
        self._embeddings = embeddings
        self._default = default

    async def choose(self, model: str | None, dimension: int | None, call: Call) -> tuple[str, int]:
        """The model's identifier and the dimension of its vectors: those that are wanted, else the configured ones.

        `InvalidRequest` or `NotFound` about `embedding_model` or `embedding_dimension`."""
        if model is None and self._default is not None:
            model, dimension = self._default.identifier, dimension or self._default.embedding_dimensions
        try:
            entry = await self._models.resolve(model or self._only(), call=call, kind=ModelType.embedding.value)
        except LlamaStackError as error:
            error.param = "embedding_model"
            raise
        own = await self._embeddings.dimension(entry.identifier, call)
        if dimension is not None and dimension != own:
            await self._check_dimension(entry.identifier, dimension, own, call)
        return entry.identifier, dimension or own

    async def _check_dimension(self, model: str, dimension: int, own: int, call: Call) -> None:
        """Some models can shorten their vectors; only asking tells."""
        try:
            await self._embeddings.embed(model, ["dimension"], dimensions=dimension, call=call)
        except LlamaStackError as error:
            raise InvalidRequest(
                f"Vectors of the model {model!r} have {own} dimensions; it gave none of {dimension}: {error.message}",
                param="embedding_dimension",
            ) from None

    def _only(self) -> str:
        found = [entry.identifier for entry in self._models.entries() if entry.kind == ModelType.embedding]
        if len(found) == 1:
            return found[0]
        shown = ", ".join(found[:10]) or "none is listed"
        raise InvalidRequest(
            f"Name an embedding_model ({shown}), or set vector_stores.default_embedding_model in the run config.",
            param="embedding_model",
            code="missing_required_parameter",
        )
