"""Addresses as users write them, and servers that answer anything."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack.cli.asking import Address, NoAnswer, address_of, ask, default_url
from llama_stack.cli.failure import Failure
from tests.unit.cli.test_detect import free_port, server


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("localhost:8321", "http://localhost:8321"),
        ("http://h/v1/", "http://h"),
        ("https://h:1/stack/v1", "https://h:1/stack"),
        ("http://[::1]:8321", "http://[::1]:8321"),
    ],
)
def test_an_address_is_read_and_said_again(written: str, url: str) -> None:
    assert address_of(written).url == url


@pytest.mark.parametrize("wrong", ["ftp://x", "http://", "http://h:port", "http://h:0", "http://me:secret@h"])
def test_what_is_no_address(wrong: str) -> None:
    with pytest.raises(Failure, match="is not an address") as caught:
        address_of(wrong)
    assert caught.value.exit_code == 2


def test_the_default_is_this_machines() -> None:
    assert default_url({}) == "http://localhost:8321"
    assert default_url({"LLAMA_STACK_PORT": "9000"}) == "http://localhost:9000"


@pytest.mark.parametrize(
    ("reply", "body", "message"),
    [({"a": 1}, {"a": 1}, None), ([1], {}, None), ({"error": {"message": "no"}}, {"error": {"message": "no"}}, "no")],
)
def test_whatever_a_server_says_is_an_answer(reply: Any, body: dict[str, Any], message: str | None) -> None:
    with server({"/stack/x": reply}) as port:
        answer = ask(Address("127.0.0.1", port, path="/stack"), "/x")
    assert (answer.status, answer.body, answer.message) == (200, body, message)


def test_nobody_there() -> None:
    with pytest.raises(NoAnswer, match=r"no server answers at http://127\.0\.0\.1:"):
        ask(Address("127.0.0.1", free_port()), "/x")
