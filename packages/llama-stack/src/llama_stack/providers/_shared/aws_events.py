"""The binary event stream of AWS (`application/vnd.amazon.eventstream`), bytes split anywhere in, messages out.

    4 bytes  length of the message      4 bytes  length of its headers      4 bytes  CRC-32 of these eight
    headers: 1 byte length of the name, the name, 1 byte type (7: string), 2 bytes length of the value, the value
    payload                             4 bytes  CRC-32 of all that came before

Source: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

MESSAGE_BYTES_MAX = 24 * 1024 * 1024
_PRELUDE = struct.Struct("!III")
_CRC = struct.Struct("!I")
_LENGTH = struct.Struct("!H")
_FIXED_BYTES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Of the values of the header types that are neither text nor bytes, which nobody here reads."""
_BYTES, _TEXT = 6, 7
_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class AwsEvent:
    """`headers` are those of text: `:message-type` (event, exception, error), `:event-type`, `:exception-type`."""

    headers: Mapping[str, str]
    payload: bytes


class AwsEventReader:
    """`ValueError` for what is no event stream."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._headers = (b"", dict[str, str]())
        """Of the last event, as bytes and read: those of most events of a stream are the same."""

    def feed(self, data: bytes) -> Iterator[AwsEvent]:
        held = self._held
        held += data
        while len(held) >= _PRELUDE.size:
            size, headers_size, crc = _PRELUDE.unpack_from(held)
            if zlib.crc32(held[:8]) != crc:
                raise ValueError("the checksum of an event's head is wrong")
            if not _PRELUDE.size + headers_size + _CRC.size <= size <= MESSAGE_BYTES_MAX:
                raise ValueError("an event has an impossible length")
            if len(held) < size:
                return
            message = bytes(held[:size])
            del held[:size]
            yield self._event(message, headers_size)

    @property
    def complete(self) -> bool:
        """Whether the bytes so far end with a whole event."""
        return not self._held

    def _event(self, message: bytes, headers_size: int) -> AwsEvent:
        end = len(message) - _CRC.size
        if zlib.crc32(message[:end]) != _CRC.unpack_from(message, end)[0]:
            raise ValueError("the checksum of an event is wrong")
        body = _PRELUDE.size + headers_size
        encoded = message[_PRELUDE.size : body]
        if encoded != self._headers[0]:
            try:
                self._headers = encoded, dict(_headers(encoded))
            except (IndexError, KeyError, UnicodeDecodeError, struct.error):
                raise ValueError("an event's headers cannot be read") from None
        return AwsEvent(self._headers[1], message[body:end])


def _headers(data: bytes) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        name, kind = data[at + 1 : name_end].decode(), data[name_end]
        at = name_end + 1
        if kind in _FIXED_BYTES:
            at += _FIXED_BYTES[kind]
            continue
        if kind not in (_BYTES, _TEXT):
            raise KeyError(kind)
        size = _LENGTH.unpack_from(data, at)[0]
        at += _LENGTH.size
        if kind == _TEXT:
            yield name, data[at : at + size].decode()
        at += size


class AwsJsonEvents:
    """The events of a service whose payloads are JSON objects, each as an object with its type as the only member. An
    exception has its kind in the member `exception_member`, an error none."""

    def __init__(self, exception_member: str) -> None:
        self._reader = AwsEventReader()
        self._exception_member = exception_member

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        return map(self._object, self._reader.feed(data))

    def finish(self) -> Iterator[dict[str, Any]]:
        if not self._reader.complete:
            raise ValueError("it ended within an event")
        yield from ()

    def _object(self, event: AwsEvent) -> dict[str, Any]:
        kind = event.headers.get(":message-type")
        if kind == "error":
            return {self._exception_member: "", "message": event.headers.get(":error-message", "")}
        try:
            said = _decode(event.payload or b"{}")
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
            raise ValueError("it sent an event that cannot be read") from None
        if kind == "exception":
            return {"message": said.get("message"), self._exception_member: event.headers.get(":exception-type", "")}
        return {event.headers.get(":event-type", ""): said}
