"""Ranges and preconditions of contents, and names that are safe in a header."""

from __future__ import annotations

from email.message import Message
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.http.ranges import Portion, RangeNotSatisfiable, content_headers, disposition, portion, shown_type

TAG = '"abc"'


def asked(**headers: str) -> dict[bytes, bytes]:
    return {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-9", Portion(206, 0, 10)),
        ("bytes=0-0", Portion(206, 0, 1)),
        ("bytes=90-", Portion(206, 90, 100)),
        ("bytes=90-1000", Portion(206, 90, 100)),
        ("bytes=-10", Portion(206, 90, 100)),
        ("bytes=-1000", Portion(206, 0, 100)),
        ("Bytes = 5 - 6", Portion(206, 5, 7)),
        # As if it had not been asked for:
        ("bytes=0-1,5-6", Portion(200, 0, 100)),
        ("bytes=9-5", Portion(200, 0, 100)),
        ("bytes=-", Portion(200, 0, 100)),
        ("items=0-1", Portion(200, 0, 100)),
        ("bytes=a-b", Portion(200, 0, 100)),
        ("bytes=" + "9" * 30 + "-", Portion(200, 0, 100)),
    ],
)
def test_ranges(value: str, expected: Portion) -> None:
    assert portion(asked(range=value), 100, TAG) == expected


@pytest.mark.parametrize(("value", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-5", 0)])
def test_a_range_behind_the_end(value: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        portion(asked(range=value), size, TAG)
    assert refused.value.headers["content-range"] == f"bytes */{size}"


def test_preconditions() -> None:
    assert portion(asked(if_none_match=TAG), 100, TAG).status == 304
    assert portion(asked(if_none_match='"x", W/"abc"'), 100, TAG).status == 304
    assert portion(asked(if_none_match="*"), 100, TAG).status == 304
    assert portion(asked(if_none_match='"x"'), 100, TAG) == Portion(200, 0, 100)
    assert portion(asked(range="bytes=1-2", if_range=TAG), 100, TAG) == Portion(206, 1, 3)
    assert portion(asked(range="bytes=1-2", if_range='"old"'), 100, TAG) == Portion(200, 0, 100)
    assert portion(asked(range="bytes=1-2", if_range="Sun, 22 Nov 2026 22:08:34 GMT"), 100, TAG).status == 200


@given(st.integers(min_value=1, max_value=300), st.integers(min_value=0, max_value=400), st.integers(0, 400))
def test_a_range_is_what_python_would_slice(size: int, first: int, last: int) -> None:
    content = bytes(index % 256 for index in range(size))
    if first >= size and first <= last:
        with pytest.raises(RangeNotSatisfiable):
            portion(asked(range=f"bytes={first}-{last}"), size, TAG)
        return
    part = portion(asked(range=f"bytes={first}-{last}"), size, TAG)
    assert content[part.start : part.end] == (content[first : last + 1] if first <= last else content)


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_name_is_safe_in_a_header_and_comes_back(filename: str) -> None:
    header = disposition(filename)
    assert all(0x20 <= byte < 0x7F for byte in header)
    message = Message()
    message["content-disposition"] = header.decode()
    assert message.get_content_disposition() == "attachment"
    exact = header.decode().rpartition("filename*=UTF-8''")[2]
    assert unquote(exact) == filename
    assert not set(exact) & set(" ;,\"'()<>@")


@pytest.mark.parametrize(
    ("content_type", "shown"),
    [
        ("text/html", b"application/octet-stream"),
        ("image/svg+xml", b"application/octet-stream"),
        ("application/atom+xml", b"application/octet-stream"),
        ("text/plain", b"text/plain; charset=utf-8"),
        ("application/pdf", b"application/pdf"),
        ("image/png", b"image/png"),
    ],
)
def test_no_type_that_a_browser_runs(content_type: str, shown: bytes) -> None:
    assert shown_type(content_type) == shown


def test_the_headers_of_a_range() -> None:
    headers = dict(content_headers(Portion(206, 3, 5), 10, etag=TAG, content_type="text/plain", filename="a.txt"))
    assert headers[b"content-range"] == b"bytes 3-4/10"
    assert headers[b"content-length"] == b"2"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"etag"] == b'"abc"'
