"""Ids of items lead to their response, and to nothing else."""

from __future__ import annotations

import re

import pytest

from llama_stack.agent.ids import RESPONSE, derived_id, link_of, new_id, random_id
from llama_stack.storage.sql.conversations import is_item_id

OURS = re.compile(r"[a-z]+_[0-9a-f]{48}")


def test_items_share_a_part_of_their_responses_id() -> None:
    response = random_id(RESPONSE)
    made = [new_id("message", response), new_id("message", response), derived_id("mcp_call", response, "a")]
    assert {link_of(each) for each in made} == {link_of(response)} == {response[5:21]}
    assert len(set(made)) == 3
    assert all(OURS.fullmatch(each) for each in made)
    assert len({each[-32:] for each in (*made, response)}) == 4  # what makes them unguessable is their own


def test_an_item_of_an_item_is_of_the_same_response() -> None:
    call = new_id("tool_search_call", random_id(RESPONSE))
    assert link_of(new_id("tool_search_output", call)) == link_of(call)


def test_derived_ids_differ_by_all_that_they_come_of() -> None:
    response = random_id(RESPONSE)
    assert derived_id("message", response, "a") == derived_id("message", response, "a")
    others = {derived_id("message", response, "b"), derived_id("message", random_id(RESPONSE), "a")}
    assert derived_id("message", response, "a") not in others
    assert OURS.fullmatch(derived_id("message", "id of a client", "a"))


@pytest.mark.parametrize("foreign", ["", "msg_1", "msg_" + "g" * 48, "msg_" + "A" * 48, "x" * 300, "é", "a\0"])
def test_ids_that_are_none_of_ours_lead_nowhere(foreign: str) -> None:
    assert link_of(foreign) == ""
    assert OURS.fullmatch(new_id("message", foreign))


@pytest.mark.parametrize("kind", ["hologram", "", "é", "resp", "odd type/\0", "x" * 1000])
def test_a_kind_that_nobody_knows_is_no_part_of_an_id(kind: str) -> None:
    assert re.fullmatch(r"item_[0-9a-f]{48}", new_id(kind))
    assert is_item_id(new_id(kind))
