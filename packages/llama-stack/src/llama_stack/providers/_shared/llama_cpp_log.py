"""Where the output of a llama.cpp child goes: a file of bounded size; what it warns of, also to the server's log."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

import structlog

_LINE_CHARS_MAX = 500
_NOTEWORTHY = re.compile(r"^[\d.]+ ([WE]) +(.*)$", re.MULTILINE)
_EXPECTED = (
    "security: no API key is set",
    "need to evaluate at least 1 token",
    "n_past was set to",
    "cancel task",
    "send_error",
    "were not marked as outputs",
)
"""What says nothing here: the socket is private, we ask for cancelling, and the client gets its own error."""


class ChildLog:
    """Keeps the file at `path` and one older one, each of at most `bytes_max`, readable by the owner alone."""

    def __init__(self, path: Path, bytes_max: int, model: str) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._file: BinaryIO | None = None
        self._partial = b""
        self._logger = structlog.stdlib.get_logger("llama_stack.inference").bind(model=model)

    def write(self, data: bytes) -> None:
        file = self._file or self._open()
        if file.tell() + len(data) > self._bytes_max:
            self.close()
            self._path.replace(self._path.with_suffix(".old.log"))
            file = self._open()
        file.write(data)
        whole, _, rest = (self._partial + data).rpartition(b"\n")
        self._partial = rest[-self._bytes_max :]
        for level, text in _NOTEWORTHY.findall(whole.decode("utf-8", "replace")):
            if not any(words in text for words in _EXPECTED):
                log = self._logger.error if level == "E" else self._logger.warning
                log("llama_cpp.log", line=text[:_LINE_CHARS_MAX])

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def _open(self) -> BinaryIO:
        self._path.touch(mode=0o600)
        self._file = self._path.open("ab", buffering=0)
        return self._file
