"""Files in responses of other models: those that call tools and mark what they cite, those that cannot, and files as
input."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError
from openai.types.responses import FunctionToolParam

from tests.support.knowledge import MODELS, Library, library
from tests.support.upstream import Tool, calls, text

pytestmark = pytest.mark.anyio

CAPITALS = ("Paris is the capital of France", "Rome is the capital of Italy")
QUESTION = "What is the capital of Italy?"
CHAT = "/chat/completions"
SMALL = {"model_id": "small", "provider_id": "up", "metadata": {"tool_calling": False}, "model_validation": False}
FUNCTION: FunctionToolParam = {"type": "function", "name": "dice", "parameters": {"type": "object"}, "strict": False}


@pytest.fixture
async def lib(tmp_path: Path) -> AsyncIterator[Library]:
    async with library(tmp_path, registered_resources={"models": [*MODELS, SMALL]}) as opened:
        yield opened


async def test_marks_of_a_model_become_citations(lib: Library) -> None:
    store = await lib.store(*CAPITALS)
    rome = (await lib.openai.vector_stores.search(store.id, query=QUESTION)).data[0].file_id
    lib.upstream.reply(calls(Tool("file_search", {"query": "capital of Italy"})), on=CHAT)
    lib.upstream.reply(text(f"It is Rome <|{rome}|>."), on=CHAT)
    first = await lib.openai.responses.create(
        model="up/m", input=QUESTION, tools=[{"type": "file_search", "vector_store_ids": [store.id]}]
    )
    assert first.output_text == "It is Rome."
    message = first.output[1]
    assert message.type == "message"
    (citation,) = message.content[0].annotations  # type: ignore[union-attr]
    said: dict[str, Any] = citation.to_dict()
    assert (said["type"], said["file_id"], said["filename"], said["index"]) == ("file_citation", rome, "1.txt", 10)
    assert CAPITALS[1][said["start"] : said["end"]] == CAPITALS[1]

    lib.upstream.reply(text("As I said."), on=CHAT)
    await lib.openai.responses.create(model="up/m", input="Sure?", previous_response_id=first.id)
    roles = [message["role"] for message in lib.upstream.last.body["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert CAPITALS[1] in json.dumps(lib.upstream.last.body)


async def test_files_are_searched_before_a_model_without_tools_is_asked(lib: Library) -> None:
    store = await lib.store(*CAPITALS)
    lib.upstream.reply(text("Rome is the capital of Italy."), on=CHAT)
    response = await lib.openai.responses.create(
        model="small",
        input=QUESTION,
        tools=[{"type": "file_search", "vector_store_ids": [store.id]}],
        tool_choice="required",
        include=["file_search_call.results"],
    )
    search, message = response.output
    assert search.type == "file_search_call"
    assert search.queries == [QUESTION]
    assert (search.results or [])[0].text == CAPITALS[1]
    assert "tools" not in lib.upstream.last.body
    assert CAPITALS[1] in json.dumps(lib.upstream.last.body)
    assert message.type == "message"
    (citation,) = message.content[0].annotations  # type: ignore[union-attr]
    assert citation.to_dict()["filename"] == "1.txt"


@pytest.mark.parametrize("choice", ["auto", "required", {"type": "function", "name": "dice"}])
async def test_functions_are_refused_by_name_for_a_model_without_tools(lib: Library, choice: object) -> None:
    with pytest.raises(BadRequestError) as caught:
        await lib.openai.responses.create(model="small", input="Roll.", tools=[FUNCTION], tool_choice=choice)  # type: ignore[call-overload]
    assert caught.value.code == "unsupported_parameter"
    assert "small" in caught.value.message
    assert not [request for request in lib.upstream.requests if request.path.endswith(CHAT)]


async def test_a_file_by_its_id_reaches_the_model(lib: Library) -> None:
    file_id = await lib.file("The code word is swordfish.", "note.txt")
    lib.upstream.reply(text("Swordfish."), on=CHAT)
    response = await lib.openai.responses.create(
        model="up/m",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is the code word?"},
                    {"type": "input_file", "file_id": file_id},
                ],
            }
        ],
    )
    assert response.output_text == "Swordfish."
    (asked,) = lib.upstream.last.body["messages"]
    assert "note.txt" in asked["content"]
    assert "The code word is swordfish." in asked["content"]
