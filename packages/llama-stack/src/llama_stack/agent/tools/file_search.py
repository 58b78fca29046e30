"""The tool `file_search`: a search in vector stores, whose passages may be cited as `<|file_id|>`.

The model is shown as many passages as it has room for. A result says more than the contract has: which chunk it is, on
what page, and which characters of the file's text (`chunk_id`, `page`, `start`, `end`), where that is known, and which
pages begin within it (`next_pages`: their numbers, with where they begin).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from string import Formatter
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from llama_stack.agent.entries import Entry, Event, Item, ModelCall, Source
from llama_stack.agent.tools.base import Bound, BoundTool, ToolContext, ToolResult
from llama_stack.agent.tools.query import query_of, required_query
from llama_stack.config.vector_stores import (
    AnnotationPromptParams,
    ChunkRetrievalParams,
    ContextPromptParams,
    FileSearchParams,
)
from llama_stack.rag.tokens import count_tokens, first_tokens
from llama_stack_api.errors import InvalidRequest, LlamaStackError
from llama_stack_api.principal import Call

NAME: Final = "file_search"
QUERY_CHARS_MAX: Final = 4000
RESULTS_MAX: Final = 10
"""Where the tool sets no `max_num_results`."""
PASSAGE_TOKENS_MIN: Final = 32
"""What is left of a passage where there is no room for more says nothing, and is left out."""
DESCRIPTION: Final = "Search the files that were given to you. Gives the passages that answer the query best."

Attributes: TypeAlias = Mapping[str, str | float | bool]


@dataclass(frozen=True, slots=True)
class FileHit:
    """A passage of a file. `score` is from 0 to 1; it is `[start:end]` of the file's text, begins on `page`,
    and holds the beginnings of `next_pages`: their numbers, with where they begin in the file's text."""

    file_id: str
    filename: str
    text: str
    score: float
    attributes: Attributes = field(default_factory=dict)
    chunk_id: str | None = None
    page: int | None = None
    start: int | None = None
    end: int | None = None
    next_pages: Sequence[tuple[int, int]] = ()


class VectorStores(Protocol):
    async def search(
        self,
        vector_store_ids: Sequence[str],
        query: str,
        *,
        filters: Mapping[str, Any] | None,
        results_max: int,
        ranking_options: Mapping[str, Any] | None,
        call: Call,
    ) -> list[FileHit]:
        """The best passages of all these stores together, the best first. `filters` and `ranking_options` are those of
        the tool, as JSON. `NotFound` for a store that the caller of `call` does not have."""
        ...


@dataclass(frozen=True)
class Prompts:
    """The words around passages, as `vector_stores` of the run config has them."""

    around: FileSearchParams = field(default_factory=FileSearchParams)
    context: ContextPromptParams = field(default_factory=ContextPromptParams)
    annotations: AnnotationPromptParams = field(default_factory=AnnotationPromptParams)
    retrieval: ChunkRetrievalParams = field(default_factory=ChunkRetrievalParams)


class FileSearchKind:
    """See `tools.base.ToolKind`. `stores` is None where no vector stores are served."""

    types = frozenset({"file_search"})

    def __init__(self, stores: VectorStores | None, *, prompts: Prompts | None = None, timeout_s: float = 60.0) -> None:
        self._stores = stores
        self._prompts = prompts or Prompts()
        self._timeout_s = timeout_s

    def check(self, tool: Item) -> None:
        if self._stores is None:
            raise InvalidRequest(
                "The tool file_search cannot be had: this server has no vector_io provider.",
                param="type",
                code="vector_stores_not_served",
            )
        if not tool.get("vector_store_ids"):
            raise InvalidRequest("The tool file_search needs at least one vector store.", param="vector_store_ids")

    def bind(self, tool: Item, before: Sequence[Entry]) -> Bound:
        if self._stores is None:
            return Bound()
        runner = FileSearchRunner(self._stores, tool, self._prompts, self._timeout_s)
        # Tools that search other stores, or with other filters, are other tools.
        of_its_own = msgspec.json.encode(tool, order="deterministic").decode()
        return Bound([BoundTool(NAME, _definition(), tool, runner=runner, bare_name=of_its_own)])


class FileSearchRunner:
    """See `tools.base.ServerTool`."""

    kind = "file_search"
    idempotent = True

    def __init__(self, stores: VectorStores, tool: Item, prompts: Prompts, timeout_s: float) -> None:
        self._stores = stores
        self._tool = tool
        self._prompts = prompts
        self.timeout_s = timeout_s

    def opened(self, call: ModelCall, item_id: str) -> Item:
        query = query_of(call, QUERY_CHARS_MAX)
        queries = [query] if query else []
        about = {"status": "in_progress", "queries": queries, "results": None}
        return {"id": item_id, "type": "file_search_call", **about}

    def announced(self, call: ModelCall, item: Item) -> Sequence[Event]:
        return [{"type": "response.file_search_call.in_progress"}, {"type": "response.file_search_call.searching"}]

    async def run(self, call: ModelCall, item: Item, context: ToolContext) -> ToolResult:
        query = required_query(call, QUERY_CHARS_MAX)
        hits = await self._stores.search(
            self._tool["vector_store_ids"],
            query,
            filters=self._tool.get("filters"),
            results_max=self._tool.get("max_num_results") or RESULTS_MAX,
            ranking_options=self._tool.get("ranking_options"),
            call=context.call,
        )
        done = {**item, "status": "completed", "results": [_result(hit) for hit in hits]}
        passages = self._passages(hits, context)
        shown = _told(passages) if context.told else self._shown(query, passages)
        # The n-th is that of passage [n].
        sources = [Source(hit.filename, file_id=hit.file_id) for hit, _ in passages if self._is_cited]
        return ToolResult(Entry(done, call=call, shown=shown, sources=sources))

    def failed(self, call: ModelCall, item: Item, error: LlamaStackError) -> ToolResult:
        shown = f"The file search failed: {error.message}"
        return ToolResult(Entry({**item, "status": "failed"}, call=call, shown=shown))

    def concluded(self, entry: Entry) -> Sequence[Event]:
        """There is no event for a search that failed; its item says so."""
        completed = entry.item["status"] == "completed"
        return [{"type": "response.file_search_call.completed"}] if completed else []

    def _passages(self, hits: Sequence[FileHit], context: ToolContext) -> list[tuple[FileHit, str]]:
        """The first ones, with their text, that fit into what the model has room for."""
        left = min(self._prompts.retrieval.max_tokens_in_context, inf if context.room is None else context.room)
        passages: list[tuple[FileHit, str]] = []
        for hit in hits:
            tokens = count_tokens(hit.text)
            if tokens > left and left < PASSAGE_TOKENS_MIN and passages:
                break
            passages.append((hit, hit.text if tokens <= left else first_tokens(hit.text, int(left))))
            left = max(0, left - tokens)
        return passages

    def _shown(self, query: str, passages: Sequence[tuple[FileHit, str]]) -> str:
        if not passages:
            return f"The file search for {query!r} found nothing. Other words may find more."
        prompts = self._prompts
        parts = [_filled(prompts.around.header_template, num_chunks=len(passages))]
        for index, (hit, text) in enumerate(passages, 1):
            parts.append(self._passage(index, hit, text))
        instruction = prompts.annotations.annotation_instruction_template if self._is_cited else ""
        context = {"query": query, "num_chunks": len(passages), "annotation_instruction": instruction}
        parts += [prompts.around.footer_template, _filled(prompts.context.context_template, **context)]
        return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts if part).rstrip("\n")

    @property
    def _is_cited(self) -> bool:
        return self._prompts.annotations.enable_annotations

    def _passage(self, index: int, hit: FileHit, text: str) -> str:
        about = ", ".join(f"{name}: {value}" for name, value in {"filename": hit.filename, **hit.attributes}.items())
        if self._is_cited:
            template = self._prompts.annotations.chunk_annotation_template
            return _filled(template, index=index, metadata_text=about, file_id=hit.file_id, chunk_text=text)
        return _filled(
            self._prompts.context.chunk_annotation_template,
            **{"index": index, "chunk.content": text, "metadata": about},
        )


def _told(passages: Sequence[tuple[FileHit, str]]) -> str:
    """For a model that cannot call tools, which is a small one as a rule: such models answer best from plain words that
    end in what they are to do, with the best passage last."""
    if not passages:
        return "Nothing about this was found in the files."
    numbered = [f"[{number}] {text}" for number, (_, text) in enumerate(passages, 1)]
    return "\n\n".join([
        "Here are passages from files.", *reversed(numbered), "Answer the question with a sentence from the passages."
    ])  # fmt: skip


def _result(hit: FileHit) -> Item:
    """What is not known of a chunk's place is left out."""
    return {name: value for name, value in asdict(hit).items() if value is not None and value != ()}


def _definition() -> dict[str, Any]:
    query = {"type": "string", "description": "What to search for, as a question or a sentence."}
    parameters = {"type": "object", "properties": {"query": query}, "required": ["query"]}
    return {"type": "function", "function": {"name": NAME, "description": DESCRIPTION, "parameters": parameters}}


def _filled(template: str, **values: object) -> str:
    """The template with its placeholders replaced. A name stands for itself alone: `{chunk.content}` looks into
    nothing, so that no template reaches what it was not given."""
    return "".join(
        literal if name is None else f"{literal}{values[name]}" for literal, name, _, _ in Formatter().parse(template)
    )
