"""Input as it is kept: ids, statuses, parts, and what references stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from llama_stack.agent.entries import Entry, Item
from llama_stack.services.items import items_of
from llama_stack.services.responses.references import resolved
from llama_stack_api.errors import NotFound
from llama_stack_api.openai.responses.request import ResponseRequest
from llama_stack_api.principal import ANONYMOUS, Principal

pytestmark = pytest.mark.anyio

STORED = Entry({"type": "message", "id": "msg_stored", "role": "assistant", "content": []})


class Stored:
    """One item, and what was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def find(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Entry]:
        self.asked += ids
        return {"msg_stored": STORED} if "msg_stored" in ids else {}


def items(*sent: Item) -> list[Item]:
    return items_of(ResponseRequest.model_validate({"model": "m", "input": list(sent)}).input)


def test_text_is_one_message_of_the_user() -> None:
    (item,) = items_of("Hello")
    assert item.pop("id").startswith("msg_")
    assert item == {
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_text", "text": "Hello"}],
    }


def test_messages_get_their_parts_and_keep_what_they_say_of_themselves() -> None:
    said = items(
        {"role": "developer", "content": "Be brief."},
        {"role": "assistant", "content": "Yes.", "id": "msg_mine", "status": "incomplete", "phase": "commentary"},
        {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]},
    )
    assert said[0]["content"] == [{"type": "input_text", "text": "Be brief."}]
    assert said[1]["content"] == [{"type": "output_text", "text": "Yes.", "annotations": [], "logprobs": []}]
    assert (said[1]["id"], said[1]["status"], said[1]["phase"]) == ("msg_mine", "incomplete", "commentary")
    assert said[2]["content"] == [{"type": "input_image", "image_url": "data:,", "detail": "auto"}]


def test_other_items_stay_as_they_are() -> None:
    weird = {"type": "hologram", "id": "h1", "beam": [1, 2]}
    (kept, call) = items(weird, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"})
    assert kept == weird
    assert call["status"] == "completed"
    assert call["id"].startswith("fc_")


def test_ids_are_distinct_and_such_as_can_be_kept() -> None:
    said = items(*({"role": "user", "content": "a", "id": each} for each in ("one", "one", "né", "x" * 300, None)))
    ids = [item["id"] for item in said]
    assert ids[0] == "one"
    assert len(set(ids)) == 5
    assert all(each.startswith("msg_") and len(each) == 52 for each in ids[1:])


async def test_references_are_replaced_and_nothing_is_said_twice() -> None:
    stored = Stored()
    before = [Entry({"type": "message", "id": "msg_before"})]
    given = items(
        {"id": "msg_before"}, {"type": "item_reference", "id": "msg_stored"}, {"role": "user", "content": "Go"}
    )
    entries = await resolved(given, before, stored, ANONYMOUS)
    assert entries[0] is STORED
    assert [entry.item["type"] for entry in entries] == ["message", "message"]
    assert stored.asked == ["msg_stored"]


async def test_a_reference_to_nothing_is_not_found_by_its_place() -> None:
    given = items({"role": "user", "content": "Go"}, {"type": "item_reference", "id": "rs_gone"})
    with pytest.raises(NotFound, match="rs_gone") as raised:
        await resolved(given, [], Stored(), ANONYMOUS)
    assert raised.value.param == "input[1].id"
