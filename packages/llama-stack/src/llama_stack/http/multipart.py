"""Forms with files (multipart/form-data), read as they come: nothing is held but the piece that has just arrived.

    reader = FormReader(exchange.headers, exchange.body_pieces(…))
    async for part in reader.parts():
        if part.filename is None: value = await part.text()
        else: async for piece in part.pieces(): …

Parts come in the order in which the client sent them. Whoever is slow with a piece slows the client down.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from llama_stack_api.errors import InvalidRequest, UnsupportedMedia

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MEDIA_TYPE: Final = b"multipart/form-data"

_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_ESCAPED = re.compile(rb'\\(["\\])')
_PERCENT: Final = ((b"%22", b'"'), (b"%0D", b"\r"), (b"%0A", b"\n"))
"""What HTML's way of writing forms escapes in names; every other % stands for itself."""


@dataclass(frozen=True, slots=True)
class FormLimits:
    """`overhead_bytes` is what a form may have around its file: boundaries, headers, fields."""

    parts_max: int = 64
    headers_max: int = 16
    header_bytes_max: int = 8 * 1024
    field_bytes_max: int = 64 * 1024
    overhead_bytes: int = 1024 * 1024


@dataclass(slots=True)
class _Head:
    """Of a part. `headers` are by name in lower case."""

    headers: dict[bytes, bytes] = field(default_factory=dict)


class _End:
    """Of a part."""


_Event = _Head | bytes | _End


class Part:
    """One field or file of a form. Its content can be read once, and until the next part is asked for."""

    def __init__(self, reader: FormReader, head: _Head) -> None:
        self._reader = reader
        self._ended = False
        kind, parameters = _parameters(head.headers.get(b"content-disposition", b""))
        if kind != b"form-data" or b"name" not in parameters:
            raise _malformed("a part has no name (content-disposition: form-data; name=…)")
        self.name = _text(parameters[b"name"])
        filename = parameters.get(b"filename")
        self.filename = _text(filename) if filename is not None else _extended(parameters.get(b"filename*"))
        self.content_type = head.headers.get(b"content-type", b"").decode("latin-1").strip()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The content as it comes."""
        while not self._ended:
            event = await self._reader.next_event(self.name)
            if isinstance(event, bytes):
                yield event
            else:
                self._ended = True

    async def text(self) -> str:
        """The content of a short field."""
        bytes_max = self._reader.limits.field_bytes_max
        value = bytearray()
        async for piece in self.pieces():
            value += piece
            if len(value) > bytes_max:
                raise InvalidRequest(
                    f"The field {self.name[:100]!r} of the form has more than {bytes_max} bytes.",
                    param=self.name[:100],
                    code="invalid_value",
                )
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise InvalidRequest(
                f"The field {self.name[:100]!r} of the form is not UTF-8.", param=self.name[:100], code="invalid_value"
            ) from None


class FormReader:
    """`InvalidRequest` wherever the body is no form, breaks off, or exceeds `limits`."""

    def __init__(
        self, headers: Mapping[bytes, bytes], body: AsyncIterator[bytes], limits: FormLimits | None = None
    ) -> None:
        self.limits = limits or FormLimits()
        self._body = body
        self._events: deque[_Event] = deque()
        self._parser = _Parser(_boundary(headers), self._events, self.limits)

    async def parts(self) -> AsyncIterator[Part]:
        while isinstance(event := await self.next_event(""), _Head):
            part = Part(self, event)
            yield part
            async for _ in part.pieces():
                pass

    async def next_event(self, name: str) -> _Event | None:
        """For the part `name`, which is being read. None behind the last part, when the body has come to its end."""
        while not self._events:
            piece = await anext(self._body, None)
            if piece is not None:
                self._parser.feed(piece)
            elif self._parser.done:
                return None
            else:
                raise _malformed(f"it ends in the middle of {name[:100]!r}" if name else "its end is missing", name)
        return self._events.popleft()


class _Parser:
    """python-multipart's, whose callbacks become events. `done` once the closing boundary was seen."""

    def __init__(self, boundary: bytes, events: deque[_Event], limits: FormLimits) -> None:
        # Imported here because most servers are never sent a form.
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser

        self._events = events
        self._parts_left = limits.parts_max
        self._parts_max = limits.parts_max
        self._head = _Head()
        self._name = bytearray()
        self._value = bytearray()
        self.done = False
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._part_begins,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_ends,
            "on_headers_finished": lambda: events.append(self._head),
            "on_part_data": lambda data, start, end: events.append(bytes(data[start:end])),
            "on_part_end": lambda: events.append(_End()),
            "on_end": self._ends,
        }
        try:
            self._parser = MultipartParser(
                boundary,
                callbacks,
                max_header_count=limits.headers_max,
                max_header_size=limits.header_bytes_max,
            )
        except FormParserError as error:
            raise _malformed(str(error)) from None

    def feed(self, piece: bytes) -> None:
        from python_multipart.exceptions import FormParserError

        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _malformed(str(error)) from None

    def _part_begins(self) -> None:
        if not self._parts_left:
            raise InvalidRequest(f"The form has more than {self._parts_max} parts.", code="invalid_multipart")
        self._parts_left -= 1
        self._head = _Head()

    def _header_ends(self) -> None:
        self._head.headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _ends(self) -> None:
        self.done = True


def is_form(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == MEDIA_TYPE


def not_a_form() -> UnsupportedMedia:
    return UnsupportedMedia("The body must be a form with a file: multipart/form-data.")


def nested(fields: Mapping[str, str]) -> dict[str, Any]:
    """Fields as `a[b]` are members of an object `a`. `InvalidRequest` where both are sent."""
    values: dict[str, Any] = {}
    for name, value in fields.items():
        outer, bracket, inner = name.partition("[")
        if not bracket or not inner.endswith("]"):
            outer, inner = name, ""
        held = values.setdefault(outer, {} if inner else value)
        if inner and isinstance(held, dict):
            held[inner.removesuffix("]")] = value
        elif held is not value:
            raise twice(outer)
    return values


def missing(name: str) -> InvalidRequest:
    return InvalidRequest(f"{name}: this field is required.", param=name, code="missing_required_parameter")


def twice(name: str) -> InvalidRequest:
    return InvalidRequest(f"{name[:100]}: the form has it twice.", param=name[:100], code="invalid_value")


def _boundary(headers: Mapping[bytes, bytes]) -> bytes:
    if not is_form(headers):
        raise not_a_form()
    _, parameters = _parameters(headers[b"content-type"])
    if not parameters.get(b"boundary"):
        raise _malformed("the content-type has no boundary")
    return parameters[b"boundary"]


def _parameters(header: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """A header's value and its parameters, of which the first of a name counts."""
    value = header.partition(b";")[0].strip().lower()
    parameters: dict[bytes, bytes] = {}
    for name, text in _PARAMETER.findall(header):
        plain = _ESCAPED.sub(rb"\1", text[1:-1]) if text[:1] == b'"' and len(text) > 1 else text.strip()
        parameters.setdefault(name.lower(), plain)
    return value, parameters


def _text(value: bytes) -> str:
    for escaped, plain in _PERCENT:
        value = value.replace(escaped, plain)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _extended(value: bytes | None) -> str | None:
    """`UTF-8''na%C3%AFve.txt`, which forms should not have, and some clients send."""
    if value is None:
        return None
    from urllib.parse import unquote

    charset, _, rest = value.partition(b"'")
    return unquote(rest.partition(b"'")[2].decode("latin-1"), "utf-8" if charset.lower() == b"utf-8" else "latin-1")


def _malformed(why: str, param: str = "") -> InvalidRequest:
    return InvalidRequest(
        f"The body is not a valid multipart/form-data form: {why}.", param=param[:100] or None, code="invalid_multipart"
    )
