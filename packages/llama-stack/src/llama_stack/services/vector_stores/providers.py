"""The vector_io providers, and which of them a new store gets."""

from __future__ import annotations

from collections.abc import Mapping

from llama_stack_api.errors import InvalidRequest, NotFound
from llama_stack_api.ports.vector_io import KeywordIndex, VectorIndex


class VectorProviders:
    """`rag.ports.Indexes`. `row_keywords` searches our own rows, for providers without a full-text search."""

    def __init__(self, opened: Mapping[str, VectorIndex], *, default: str | None, row_keywords: KeywordIndex) -> None:
        self._opened = opened
        self._default = default
        self._row_keywords = row_keywords
        self._own_keywords = {
            provider_id: impl for provider_id, impl in opened.items() if isinstance(impl, KeywordIndex)
        }

    def __bool__(self) -> bool:
        return bool(self._opened)

    def index_of(self, provider_id: str) -> VectorIndex:
        provider = self._opened.get(provider_id)
        if provider is None:
            raise NotFound(
                f"The vector_io provider {provider_id!r}, which has the index of this vector store, is not there; "
                "GET /v1/providers lists those that are, and why others did not open."
            )
        return provider

    def keywords_of(self, provider_id: str) -> KeywordIndex:
        return self._own_keywords.get(provider_id, self._row_keywords)

    def indexes_words(self, provider_id: str) -> bool:
        """Whether the provider has a full-text search of its own."""
        return provider_id in self._own_keywords

    def choose(self, wanted: str | None) -> str:
        """The provider of a new store: the one that it names, else the configured default, else the only one."""
        provider_id = wanted or self._default
        known = ", ".join(self._opened) or "none"
        if provider_id is not None:
            if provider_id not in self._opened:
                raise InvalidRequest(
                    f"There is no vector_io provider {provider_id!r} (there are: {known}).", param="provider_id"
                )
            return provider_id
        if not self._opened:
            raise InvalidRequest(
                "This server keeps no vector stores: configure a provider under providers.vector_io.",
                param="provider_id",
                code="vector_stores_not_served",
            )
        if len(self._opened) > 1:
            raise InvalidRequest(
                f"There are several vector_io providers ({known}): name one as provider_id, or set "
                "vector_stores.default_provider_id in the run config.",
                param="provider_id",
                code="missing_required_parameter",
            )
        return next(iter(self._opened))
