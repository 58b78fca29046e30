"""The requests of a message batch on their way from a body to rows, without ever being in memory together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Annotated, Final

import msgspec

from llama_stack.config.batches import BatchesConfig
from llama_stack.services.batches.split import RequestSplitter
from llama_stack.services.parsing import parse
from llama_stack.storage.sql.batch_records import NewLine
from llama_stack_api.errors import InvalidRequest

GROUP_BYTES: Final = 1024 * 1024
GROUP_LINES: Final = 256
"""About what is written in one transaction."""


class _Request(msgspec.Struct):
    """As `UncheckedBatchRequest`, with `params` as they came."""

    custom_id: Annotated[str, msgspec.Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    params: msgspec.Raw


_decode = msgspec.json.Decoder(_Request).decode


class Intake:
    """Reads one body. `InvalidRequest` or `PayloadTooLarge` for what is no batch within the limits."""

    def __init__(self, limits: BatchesConfig) -> None:
        self._splitter = RequestSplitter(request_bytes_max=limits.line_bytes_max, requests_max=limits.lines_max)
        self._custom_ids: set[str] = set()

    @property
    def total(self) -> int:
        return len(self._custom_ids)

    async def checked(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """The pieces of a body as they are; it raises what is wrong with them."""
        async for piece in pieces:
            for _ in self._lines(piece):
                pass
            yield piece
        self._splitter.finish()

    async def groups(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[list[NewLine], None]:
        """What to write, of a body that was checked."""
        group: list[NewLine] = []
        held = 0
        async for piece in pieces:
            for line in self._lines(piece):
                group.append(line)
                held += len(line.request)
                if held >= GROUP_BYTES or len(group) >= GROUP_LINES:
                    yield group
                    group, held = [], 0
        yield group

    def _lines(self, piece: bytes) -> Iterator[NewLine]:
        for request in self._splitter.feed(piece):
            number = self.total
            read = _read(request, number)
            if read.custom_id in self._custom_ids:
                place = f"requests[{number}].custom_id"
                raise InvalidRequest(
                    f"{place}: an earlier request has the custom_id '{read.custom_id}' too.",
                    param=place,
                    code="duplicate_custom_id",
                )
            self._custom_ids.add(read.custom_id)
            yield NewLine(number, read.custom_id, bytes(read.params))


def _read(request: bytes, number: int) -> _Request:
    """What is wrong with its `params` is the request's own error, once it is carried out."""
    try:
        read = _decode(request)
        if bytes(read.params).startswith(b"{"):
            return read
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    from llama_stack_api.anthropic.batches import UncheckedBatchRequest

    place = f"requests[{number}]"
    try:
        parse(UncheckedBatchRequest, request)
    except InvalidRequest as error:
        param = place if error.param is None else f"{place}.{error.param}"
        message = f"{place}: {error.message}" if error.param is None else f"{place}.{error.message}"
        raise InvalidRequest(message, param=param, code=error.code) from None
    raise InvalidRequest(f"{place}: this is not valid JSON.", param=place)
