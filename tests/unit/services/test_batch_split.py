"""Requests cut out of a batch's body: the same as a parser finds in the whole, wherever the pieces end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.services.batches.split import RequestSplitter
from llama_stack_api.errors import InvalidRequest, MalformedBody, PayloadTooLarge

TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\[]{},:'), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)
REQUESTS = st.dictionaries(TEXTS, VALUES, max_size=4)


def split(body: bytes, cuts: list[int] | None = None, **limits: int) -> list[bytes]:
    splitter = RequestSplitter(**{"request_bytes_max": 10_000, "requests_max": 100, **limits})
    places = sorted(cut % (len(body) + 1) for cut in cuts or [])
    pieces = [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]
    found = [request for piece in pieces for request in splitter.feed(piece)]
    splitter.finish()
    return found


@given(
    st.lists(REQUESTS, min_size=1, max_size=5),
    st.dictionaries(TEXTS.filter(lambda name: name != "requests"), TEXTS | st.integers(), max_size=2),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(0, 10_000), max_size=8),
)
def test_whatever_the_pieces(
    requests: list[dict[str, Any]], others: dict[str, Any], escaped: bool, spaced: bool, cuts: list[int]
) -> None:
    body = {**others, "requests": requests}
    text = json.dumps(body, ensure_ascii=escaped, indent=2 if spaced else None).encode()
    assert [json.loads(request) for request in split(text, cuts)] == requests


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not valid JSON"),
        (b'{"requests": [{}}', "not valid JSON"),
        (b'{"requests": [{}', "not valid JSON"),
        (b'{"requests": [{} {}]}', "not valid JSON"),
        (b'{"requests": [{}], "x": "', "not valid JSON"),
        (b"[{}]", "must be a JSON object"),
        (b"{}", "requests: this field is required"),
        (b'{"requests": {"a": {}}}', "requests: input should be an array"),
        (b'{"requests": null}', "requests: input should be an array"),
        (b'{"requests": []}', "at least one"),
        (b'{"requests": [0]}', "each of them should be an object"),
        (b'{"requests": [{}, 0]}', "each of them should be an object"),
        (b'{"requests": ["a", {}]}', "each of them should be an object"),
        (b'{"requests": [[{}]]}', "each of them should be an object"),
        (b'{"requests": [0], "others": [{}]}', "each of them should be an object"),
        (b'{"requests": [{}], "others": [{}]}', "each of them should be an object"),
    ],
)
def test_what_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        split(body)


def test_a_request_cut_out_is_not_read() -> None:
    assert split(b'{"requests": [{"a" nonsense}]}') == [b'{"a" nonsense}']


@pytest.mark.parametrize("body", [b'{"requests": [{"a": "' + b"x" * 60 + b'"}]}', b'{"requests": [{"a": "' + b"x" * 60])
def test_a_request_that_is_too_large(body: bytes) -> None:
    with pytest.raises(PayloadTooLarge, match=r"requests\[.\] is larger than 50 bytes; server.batches.line_bytes_max"):
        split(body, request_bytes_max=50)


def test_too_many_requests() -> None:
    with pytest.raises(InvalidRequest, match=r"at most 2 requests; server\.batches\.lines_max"):
        split(b'{"requests": [{}, {}, {}]}', requests_max=2)


def test_a_body_of_something_else() -> None:
    with pytest.raises(PayloadTooLarge, match="no request of the batch"):
        split(b'{"junk": "' + b"x" * 1_100_000)


def test_a_malformed_body_is_told_as_such() -> None:
    with pytest.raises(MalformedBody):
        split(b'{"requests": [{}],}')
