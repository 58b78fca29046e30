"""Files are searched before a model is asked that cannot call tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from llama_stack.agent.tools.file_search import FileHit, FileSearchKind
from llama_stack.agent.turn import Turn
from llama_stack.rag.tokens import count_tokens
from llama_stack_api.errors import ProviderUnreachable
from llama_stack_api.principal import Call
from tests.agent.loop.conftest import Respond
from tests.agent.tools.test_file_search import MemoryStores
from tests.support.agent import turn
from tests.support.upstream_replies import text

pytestmark = pytest.mark.anyio

TOOL = {"type": "file_search", "vector_store_ids": ["vs_1"]}


def told(*input: str, context_length: int | None = None, **request: Any) -> Turn:
    asked = turn(*input, **{"tools": [TOOL], **request})
    asked.tools_told, asked.context_length = True, context_length
    return asked


async def test_an_ordinary_call_before_the_model_is_asked(respond: Respond) -> None:
    kind = FileSearchKind(MemoryStores("alice"))
    ended = await respond(told("What do llamas eat?"), [text("Llamas eat grass and hay.")], tools=kind)
    search, message = ended.output
    assert (search["type"], search["status"]) == ("file_search_call", "completed")
    assert search["queries"] == ["What do llamas eat?"]
    assert ended.types.index("file_search_call.completed") < ended.types.index("output_text.delta")
    (asked,) = ended.model.asked
    assert "tools" not in asked
    (said,) = asked["messages"]
    assert said["content"].index("Llamas eat grass and hay.") < said["content"].index("\nWhat do llamas eat?")
    assert "<|" not in said["content"], "a small model is not asked for marks"
    (part,) = message["content"]
    (citation,) = part["annotations"]
    assert (citation["file_id"], part["text"][: citation["index"]]) == ("file-a1", "Llamas eat grass and hay")


async def test_it_is_not_searched_where_no_tool_may_be_used(respond: Respond) -> None:
    kind = FileSearchKind(MemoryStores("alice"))
    ended = await respond(told("Hello", tool_choice="none"), [text("Hi.")], tools=kind)
    assert [item["type"] for item in ended.output] == ["message"]


async def test_several_tools_are_searched_each(respond: Respond) -> None:
    kind = FileSearchKind(MemoryStores("alice"))
    tools = [TOOL, {**TOOL, "vector_store_ids": ["vs_2"]}]
    ended = await respond(told("What is green grass?", tools=tools), [text("Grass is green.")], tools=kind)
    assert [item["type"] for item in ended.output] == ["file_search_call", "file_search_call", "message"]
    assert len({item["id"] for item in ended.output}) == 3
    (part,) = ended.output[-1]["content"]
    assert [each["file_id"] for each in part["annotations"]] == ["file-c3"]


class LongHits(MemoryStores):
    async def search(self, *args: Any, **options: Any) -> list[FileHit]:
        return [FileHit(f"file-{n}", f"{n}.txt", f"Passage {n}. " + "word " * 300, 1 - n / 10) for n in range(9)]


@pytest.mark.parametrize(("context_length", "passages"), [(1000, 3), (3000, 8), (None, 9)])
async def test_passages_are_cut_to_the_context_of_the_model(
    respond: Respond, context_length: int | None, passages: int
) -> None:
    asked = told("What?", context_length=context_length, include=["file_search_call.results"])
    ended = await respond(asked, [text("Words.")], tools=FileSearchKind(LongHits("alice")))
    (said,) = ended.model.asked[0]["messages"]
    assert said["content"].count("Passage ") == passages
    assert context_length is None or count_tokens(said["content"]) < context_length
    assert len(ended.output[0]["results"]) == 9


class DeadStores(MemoryStores):
    async def search(self, vector_store_ids: Sequence[str], query: str, **options: Any) -> list[FileHit]:
        raise ProviderUnreachable("the vector database is away")


async def test_a_search_that_fails_is_told_and_the_model_answers(respond: Respond) -> None:
    ended = await respond(told("What?"), [text("I cannot say.")], tools=FileSearchKind(DeadStores("alice")))
    assert [(item["type"], item["status"]) for item in ended.output] == [
        ("file_search_call", "failed"), ("message", "completed")
    ]  # fmt: skip
    assert "the vector database is away" in ended.model.asked[0]["messages"][0]["content"]


class Places(MemoryStores):
    async def search(
        self, vector_store_ids: Sequence[str], query: str, *, filters: Mapping[str, Any] | None, call: Call, **rest: Any
    ) -> list[FileHit]:
        hits = await super().search(vector_store_ids, query, filters=filters, call=call, **rest)
        return [
            replace(hit, chunk_id=f"chunk-{at}", page=at + 1, start=100 * at, end=100 * at + len(hit.text))
            for at, hit in enumerate(hits)
        ]


async def test_a_citation_leads_back_to_the_page_and_the_characters(respond: Respond) -> None:
    asked = told("What do llamas eat?", include=["file_search_call.results"])
    ended = await respond(asked, [text("Llamas eat grass and hay.")], tools=FileSearchKind(Places("alice")))
    search, message = ended.output
    (citation,) = message["content"][0]["annotations"]
    result = search["results"][0]
    assert [result[name] for name in ("chunk_id", "page", "start", "end")] == ["chunk-0", 1, 0, 25]
    assert [citation[name] for name in ("chunk_id", "page", "start", "end")] == ["chunk-0", 1, 0, 24]
