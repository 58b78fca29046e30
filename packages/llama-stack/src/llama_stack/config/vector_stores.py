"""`vector_stores`: defaults of ingestion, retrieval and of the prompts around retrieved text."""

from __future__ import annotations

from string import Formatter
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from llama_stack.config.section import Section


def _template(*required: str, optional: tuple[str, ...] = ()) -> AfterValidator:
    """A text with `{placeholder}`s: all of `required`, none beyond `optional`."""

    def check(text: str) -> str:
        try:
            found = {name for _, name, _, _ in Formatter().parse(text) if name is not None}
        except ValueError as error:
            raise ValueError(f"is not a template: {error}; write '{{{{' and '}}}}' for literal braces") from None
        missing = [name for name in required if name not in found]
        if missing:
            raise ValueError("must contain " + ", ".join(f"{{{name}}}" for name in missing))
        unknown = sorted(found - {*required, *optional})
        if unknown:
            names = ", ".join(f"{{{name}}}" for name in (*required, *optional)) or "no placeholder"
            raise ValueError(f"has the unknown placeholder {{{unknown[0]}}}; known: {names}")
        return text

    return AfterValidator(check)


class EmbeddingModelRef(Section):
    provider_id: str
    model_id: str
    embedding_dimensions: int | None = Field(default=None, ge=1)

    @property
    def identifier(self) -> str:
        return f"{self.provider_id}/{self.model_id}"


class ModelRef(Section):
    provider_id: str
    model_id: str

    @property
    def identifier(self) -> str:
        return f"{self.provider_id}/{self.model_id}"


class RewriteQueryParams(Section):
    model: ModelRef | None = None
    """None: `rewrite_query` is refused."""
    prompt: Annotated[str, _template("query")] = (
        "Rewrite this search query so that it finds more relevant documents. Keep its meaning and language, expand "
        "abbreviations, add likely synonyms, and answer with the rewritten query alone.\n\nQuery: {query}\n\nRewritten:"
    )
    max_tokens: int = Field(default=100, ge=1, le=4096)
    temperature: float = Field(default=0.3, ge=0, le=2)


class FileSearchParams(Section):
    header_template: Annotated[str, _template("num_chunks")] = (
        "File search found {num_chunks} passages.\nBEGIN of file search results.\n"
    )
    footer_template: str = "END of file search results.\n"


class ContextPromptParams(Section):
    chunk_annotation_template: Annotated[str, _template("chunk.content", optional=("index", "metadata"))] = (
        "Result {index}\nContent: {chunk.content}\nMetadata: {metadata}\n"
    )
    context_template: Annotated[str, _template("query", optional=("annotation_instruction", "num_chunks"))] = (
        'These passages were retrieved for the query "{query}". Use them only as far as they help to answer it. '
        "{annotation_instruction}\n"
    )


class AnnotationPromptParams(Section):
    enable_annotations: bool = True
    annotation_instruction_template: str = Field(
        min_length=1,
        default=(
            "Cite sources right after the sentence that they support, before its punctuation, as <|file-id|>, "
            "for example 'This is a fact <|file-Cn3MSNn72ENTiiq11Qda4A|>.'. Use only the file ids given here."
        ),
    )
    chunk_annotation_template: Annotated[
        str, _template("chunk_text", "file_id", optional=("index", "metadata_text"))
    ] = "[{index}] {metadata_text} cite as <|{file_id}|>\n{chunk_text}\n"


class FileIngestionParams(Section):
    default_chunk_size_tokens: int = Field(default=512, ge=1, le=100_000)
    default_chunk_overlap_tokens: int = Field(default=128, ge=0)

    @model_validator(mode="after")
    def _overlap_is_smaller(self) -> FileIngestionParams:
        if self.default_chunk_overlap_tokens >= self.default_chunk_size_tokens:
            raise ValueError("default_chunk_overlap_tokens must be smaller than default_chunk_size_tokens")
        return self


class ChunkRetrievalParams(Section):
    chunk_multiplier: int = Field(default=5, ge=1, le=100)
    """Chunks fetched per result asked for, before they are ranked."""
    max_tokens_in_context: int = Field(default=4000, ge=1)
    default_reranker_strategy: Literal["auto", "rrf", "weighted", "normalized", "neural"] = "auto"
    """What a search is ranked by that names no ranker; `neural` asks `default_reranker_model` in every mode."""
    rrf_impact_factor: float = Field(default=60, gt=0)
    weighted_search_alpha: float = Field(default=0.5, ge=0, le=1)
    default_search_mode: Literal["vector", "keyword", "hybrid"] = "vector"


class FileBatchParams(Section):
    max_concurrent_files_per_batch: int = Field(default=3, ge=1, le=100)
    """Files that one process ingests at a time, of all batches together."""
    file_batch_chunk_size: int = Field(default=10, ge=1)
    """Accepted for compatibility: a batch is not cut, each of its files is a run."""
    cleanup_interval_seconds: int = Field(default=86400, ge=1)
    """Accepted for compatibility: what became of a batch is known for a week, and then forgotten within a minute."""


class ContextualRetrievalParams(Section):
    model: ModelRef | None = None
    default_timeout_seconds: int = Field(default=120, ge=1)
    default_max_concurrency: int = Field(default=3, ge=1, le=100)
    max_document_tokens: int = Field(default=100_000, ge=1)


class VectorStoreLimits(Section):
    queries_max: int = Field(default=16, ge=1)
    """Queries of one search."""
    query_chars_max: int = Field(default=10_000, ge=1)
    filter_comparisons_max: int = Field(default=100, ge=1, le=1000)
    """Comparisons of one filter, `and` and `or` apart. A database reads each of them for each chunk."""
    filter_values_max: int = Field(default=1000, ge=1, le=10_000)
    """Values that the comparisons of one filter have in all."""
    raw_chunks_max: int = Field(default=1000, ge=1)
    """Chunks of one request to /v1/vector-io/insert."""
    chunk_chars_max: int = Field(default=100_000, ge=1)
    """Of one of these chunks; and of its metadata as JSON."""


class VectorStoresConfig(Section):
    default_provider_id: str | None = None
    """The vector_io provider of a store that names none, where there are several."""
    default_embedding_model: EmbeddingModelRef | None = None
    default_reranker_model: ModelRef | None = None
    rewrite_query_params: RewriteQueryParams | None = None
    file_search_params: FileSearchParams = Field(default_factory=FileSearchParams)
    context_prompt_params: ContextPromptParams = Field(default_factory=ContextPromptParams)
    annotation_prompt_params: AnnotationPromptParams = Field(default_factory=AnnotationPromptParams)
    file_ingestion_params: FileIngestionParams = Field(default_factory=FileIngestionParams)
    chunk_retrieval_params: ChunkRetrievalParams = Field(default_factory=ChunkRetrievalParams)
    file_batch_params: FileBatchParams = Field(default_factory=FileBatchParams)
    contextual_retrieval_params: ContextualRetrievalParams = Field(default_factory=ContextualRetrievalParams)
    limits: VectorStoreLimits = Field(default_factory=VectorStoreLimits)
