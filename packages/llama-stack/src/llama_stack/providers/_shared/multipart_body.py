"""A `multipart/form-data` body around a file that is sent as it comes (RFC 7578, as browsers write it)."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Mapping

_ESCAPED = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
_CONTENT_TYPE = re.compile(r"[!#$%&'*+.^_`|~\w-]+/[!#$%&'*+.^_`|~\w-]+(;[ \w=.+\"-]*)?", re.ASCII)


def checked_content_type(said: str) -> str:
    """As a client said it, if it is one: it becomes a header."""
    return said if _CONTENT_TYPE.fullmatch(said) is not None else "application/octet-stream"


class MultipartBody:
    """The fields, then one file. `length` is that of the whole in bytes, None where the size of the file is unknown."""

    def __init__(
        self,
        fields: Mapping[str, str],
        *,
        name: str,
        filename: str,
        content_type: str,
        file: AsyncIterator[bytes],
        size: int | None,
    ) -> None:
        boundary = secrets.token_hex(16)
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(field)}"\r\n\r\n{value}\r\n'
            for field, value in fields.items()
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"; '
            f'filename="{_quoted(filename)}"\r\nContent-Type: {checked_content_type(content_type)}\r\n\r\n'
        )
        self._head = "".join(parts).encode("utf-8", "surrogateescape")
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._file = file
        self._size = size
        self.content_type = f"multipart/form-data; boundary={boundary}"

    @property
    def length(self) -> int | None:
        return None if self._size is None else len(self._head) + self._size + len(self._tail)

    @property
    def headers(self) -> dict[str, str]:
        length = {} if self.length is None else {"Content-Length": str(self.length)}
        return {"Content-Type": self.content_type, **length}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """`ValueError` if the file is not of the size that was said: the length has gone out already."""
        sent = 0
        yield self._head
        async for data in self._file:
            sent += len(data)
            if self._size is not None and sent > self._size:
                break
            if data:
                yield data
        if self._size is not None and sent != self._size:
            raise ValueError(f"a file of {self._size} bytes was announced, and {sent} or more came")
        yield self._tail


def _quoted(text: str) -> str:
    return text.translate(_ESCAPED)
