"""AWS's stream of events: whatever way it is cut, and whatever is wrong with it."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.providers._shared.aws_events import AwsEvent, AwsEventReader
from tests.support.anthropic_upstream_bedrock import aws_message

NAMES = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=20)
EVENTS = st.lists(
    st.tuples(st.dictionaries(NAMES, st.text(max_size=20), max_size=4), st.binary(max_size=200)), max_size=5
)
ONE = aws_message({":message-type": "event", "x": "ß"}, b'{"bytes": "e30="}')


def message(headers: bytes, payload: bytes) -> bytes:
    lengths = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    whole = lengths + struct.pack("!I", zlib.crc32(lengths)) + headers + payload
    return whole + struct.pack("!I", zlib.crc32(whole))


@given(EVENTS, st.integers(1, 50))
def test_cut_anywhere_it_is_the_same(events: list[tuple[dict[str, str], bytes]], size: int) -> None:
    stream = b"".join(aws_message(headers, payload) for headers, payload in events)
    reader = AwsEventReader()
    read = [event for at in range(0, len(stream), size) for event in reader.feed(stream[at : at + size])]
    assert read == [AwsEvent(headers, payload) for headers, payload in events]
    assert reader.complete


@given(st.integers(0, len(ONE) - 1), st.integers(1, 255))
def test_a_changed_byte_never_passes(at: int, change: int) -> None:
    broken = bytearray(ONE)
    broken[at] ^= change
    reader = AwsEventReader()
    with pytest.raises(ValueError, match="event"):
        list(reader.feed(bytes(broken)))


@given(st.binary(max_size=100))
def test_rubbish_is_a_value_error_at_most(data: bytes) -> None:
    reader = AwsEventReader()
    for stream in (data, message(data, b"")):
        try:
            list(reader.feed(stream))
        except ValueError:
            reader = AwsEventReader()


def test_headers_of_other_types_are_stepped_over() -> None:
    headers = [
        b"\x01t\x00",  # true
        b"\x01i\x04" + struct.pack("!i", 7),
        b"\x01w\x08" + struct.pack("!q", 1),
        b"\x01u\x09" + b"u" * 16,
        b"\x01b\x06" + struct.pack("!H", 2) + b"ab",
        b"\x01s\x07" + struct.pack("!H", 2) + b"ok",
    ]
    (event,) = AwsEventReader().feed(message(b"".join(headers), b"{}"))
    assert event == AwsEvent({"s": "ok"}, b"{}")


def test_a_length_beyond_the_limit_is_refused_before_it_is_waited_for() -> None:
    lengths = struct.pack("!II", 2**31, 0)
    with pytest.raises(ValueError, match="length"):
        list(AwsEventReader().feed(lengths + struct.pack("!I", zlib.crc32(lengths))))
