"""The tool `file_search`, over a small store in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from openai.types.responses import ResponseFileSearchToolCall
from pydantic import TypeAdapter

from llama_stack.agent.entries import Item, ModelCall, Source
from llama_stack.agent.ids import new_id
from llama_stack.agent.tools.base import Bound, ServerTool, ToolContext, ToolKind, ToolResult
from llama_stack.agent.tools.file_search import FileHit, FileSearchKind, Prompts
from llama_stack.agent.tools.ranking import rank
from llama_stack.config.vector_stores import AnnotationPromptParams, ContextPromptParams, FileSearchParams
from llama_stack_api.errors import InvalidRequest, LlamaStackError, NotFound
from llama_stack_api.openai.responses.events import KnownEvent
from llama_stack_api.openai.responses.items import OutputItem
from llama_stack_api.principal import Call, Principal
from tests.support.citations import cited

pytestmark = pytest.mark.anyio

HITS = {
    "vs_1": [
        FileHit("file-a1", "llamas.md", "Llamas eat grass and hay.", 0.0, {"year": 2024, "draft": False}),
        FileHit("file-a1", "llamas.md", "Llamas {hum} to each other.", 0.0, {"year": 2024}),
        FileHit("file-b2", "rockets.pdf", "Rockets burn kerosene.", 0.0, {"year": 1969}),
    ],
    "vs_2": [FileHit("file-c3", "grass.txt", "Grass is green; llamas like it.", 0.0)],
}
OWNER = Call(principal=Principal("ann"))


class MemoryStores:
    """Stores of one owner, ranked by words. Filters: equality of one attribute."""

    def __init__(self, owner: str) -> None:
        self._owner = owner

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
        if call.principal.id != self._owner or not set(vector_store_ids) <= set(HITS):
            raise NotFound("There is no such vector store.")
        hits = [hit for store in vector_store_ids for hit in HITS[store]]
        if filters is not None:
            hits = [hit for hit in hits if hit.attributes.get(filters["key"]) == filters["value"]]
        order = rank(query, [[(hit.text, 1.0)] for hit in hits])
        found = [replace(hits[index], score=1 / (place + 1)) for place, index in enumerate(order)]
        threshold = (ranking_options or {}).get("score_threshold", 0.0)
        return [hit for hit in found if hit.score >= threshold][:results_max]


TOOL: Item = {"type": "file_search", "vector_store_ids": ["vs_1", "vs_2"]}


async def ran(
    tool: Item, query: Any = "what do llamas eat: grass?", call: Call = OWNER, prompts: Prompts | None = None
) -> tuple[ToolResult, list[Item]]:
    """What a call comes to, as the loop runs it, and the items and events that a client sees."""
    kind: ToolKind = FileSearchKind(MemoryStores("ann"), prompts=prompts)
    kind.check(tool)
    (bound,) = kind.bind(tool, []).tools
    assert bound.name == "file_search"
    assert bound.runner is not None
    runner: ServerTool = bound.runner
    assert runner.idempotent
    made = ModelCall("call_1", "file_search", json.dumps({"query": query}))
    opened = runner.opened(made, new_id("file_search_call"))
    seen = [opened, *runner.announced(made, opened)]
    try:
        result = await runner.run(made, opened, ToolContext(call))
    except LlamaStackError as error:
        result = runner.failed(made, opened, error)
    seen += [*runner.concluded(result.entry), result.entry.item]
    for number, event in enumerate(seen[1:-1]):
        numbered = {**event, "item_id": opened["id"], "output_index": 0, "sequence_number": number}
        TypeAdapter(KnownEvent).validate_python(numbered)
    for item in (seen[0], seen[-1]):
        TypeAdapter(OutputItem).validate_python(item)
        ResponseFileSearchToolCall.model_validate(item, strict=True)
    return result, seen


async def test_a_search() -> None:
    result, seen = await ran(TOOL)
    item = result.entry.item
    assert [event["type"].removeprefix("response.file_search_call.") for event in seen[1:-1]] == [
        "in_progress", "searching", "completed"
    ]  # fmt: skip
    assert item["id"] == seen[0]["id"]
    assert item["id"].startswith("fs_")
    assert (item["status"], item["queries"]) == ("completed", ["what do llamas eat: grass?"])
    assert item["results"][0] == {
        "file_id": "file-a1",
        "filename": "llamas.md",
        "text": "Llamas eat grass and hay.",
        "score": 1.0,
        "attributes": {"year": 2024, "draft": False},
    }
    assert len(item["results"]) == 3
    assert result.entry.sources == [Source(hit["filename"], file_id=hit["file_id"]) for hit in item["results"]]
    assert {source.file_id for source in result.entry.sources} == {"file-a1", "file-c3"}


async def test_what_the_model_sees_can_be_cited() -> None:
    result, _ = await ran(TOOL)
    shown = str(result.entry.shown)
    assert shown.startswith("File search found 3 passages.\nBEGIN of file search results.\n[1] filename: llamas.md, ")
    assert "year: 2024, draft: False cite as <|file-a1|>\nLlamas eat grass and hay.\n[2]" in shown
    assert "Llamas {hum} to each other." in shown
    assert 'for the query "what do llamas eat: grass?"' in shown
    assert "as <|file-id|>" in shown
    text, annotations = cited("They eat grass <|file-a1|>.", result.entry.sources)
    assert text == "They eat grass."
    assert annotations == [{"type": "file_citation", "file_id": "file-a1", "filename": "llamas.md", "index": 14}]


async def test_the_words_around_are_the_run_configs() -> None:
    prompts = Prompts(
        FileSearchParams(header_template="<{num_chunks}>", footer_template=""),
        ContextPromptParams(
            chunk_annotation_template="{index}: {chunk.content} ({metadata})", context_template="For {query}."
        ),
        AnnotationPromptParams(enable_annotations=False),
    )
    result, _ = await ran({**TOOL, "max_num_results": 1}, prompts=prompts)
    assert result.entry.shown == (
        "<1>\n1: Llamas eat grass and hay. (filename: llamas.md, year: 2024, draft: False)\n"
        "For what do llamas eat: grass?."
    )


async def test_what_the_tool_says_reaches_the_stores() -> None:
    tool = {
        "type": "file_search",
        "vector_store_ids": ["vs_1"],
        "filters": {"type": "eq", "key": "year", "value": 2024},
        "ranking_options": {"score_threshold": 0.6},
    }
    result, _ = await ran(tool)
    assert [hit["text"] for hit in result.entry.item["results"]] == ["Llamas eat grass and hay."]
    nothing, _ = await ran(tool, "rockets")
    assert nothing.entry.item["results"] == []
    assert nothing.entry.item["status"] == "completed"
    assert "found nothing" in str(nothing.entry.shown)


async def test_a_store_of_somebody_else_is_not_there() -> None:
    result, seen = await ran(TOOL, call=Call(principal=Principal("bob")))
    assert result.entry.item["status"] == "failed"
    assert result.entry.item["results"] is None
    assert result.entry.shown == "The file search failed: There is no such vector store."
    assert len(seen) == 4, "no event says completed"


@pytest.mark.parametrize("query", [None, 3, "", " "])
async def test_arguments_that_are_none_are_the_models_to_mend(query: Any) -> None:
    result, _ = await ran(TOOL, query)
    assert result.entry.item["status"] == "failed"
    assert result.entry.item["queries"] == []
    assert '"query"' in str(result.entry.shown)


def test_without_vector_stores_the_request_says_so() -> None:
    kind = FileSearchKind(None)
    with pytest.raises(InvalidRequest, match="no vector_io provider") as refused:
        kind.check(TOOL)
    assert refused.value.param == "type"
    assert kind.bind(TOOL, []) == Bound()
    with pytest.raises(InvalidRequest) as empty:
        FileSearchKind(MemoryStores("ann")).check({"type": "file_search", "vector_store_ids": []})
    assert empty.value.param == "vector_store_ids"
