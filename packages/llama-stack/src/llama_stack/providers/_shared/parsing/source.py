"""The file that is being read."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from llama_stack.providers._shared.parsing.draft import Refused, too_long
from llama_stack.providers._shared.parsing.encoding import decoded
from llama_stack.providers._shared.parsing.wire import Job, Limits

HEAD_BYTES = 8192
_BYTES_PER_CHAR_MAX = 4


class Source:
    """`filename` is what the client called it, without folders; nothing is ever opened by it. Use it as a context."""

    def __init__(self, job: Job, limits: Limits) -> None:
        self.path = Path(job.path)
        self.filename = job.filename.replace("\\", "/").rpartition("/")[2]
        self.content_type = job.content_type.partition(";")[0].strip().lower()
        self.password = job.password
        self.clean_text = job.clean_text
        self.extract_metadata = job.extract_metadata
        self.cautious = job.cautious
        self.limits = limits
        self._declared = job.content_type
        self.file, self.size = _opened(self.path)
        try:
            if self.size > limits.file_bytes_max:
                raise Refused(
                    f"It has {self.size} bytes, and {limits.file_bytes_max} can be read; file_bytes_max of the file "
                    "processor raises that limit."
                )
            self.head = self.file.read(HEAD_BYTES)
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    @property
    def suffix(self) -> str:
        """`.md`; in lower case, empty where the name has none."""
        return Path(self.filename).suffix.lower()

    def read(self) -> bytes:
        self.file.seek(0)
        return self.file.read()

    def text(self, *, markup: bool = False) -> str:
        """All of a file that is text in itself, decoded. `markup` may declare its encoding."""
        chars_max = self.limits.text_chars_max
        if self.size > chars_max * _BYTES_PER_CHAR_MAX:
            raise too_long(chars_max)
        return decoded(self.read(), self._declared, markup=markup)


def _opened(path: Path) -> tuple[BinaryIO, int]:
    """A regular file and its size: no link, no device, no pipe that would never end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(f"It cannot be opened: {os.strerror(error.errno or 0).lower()}.") from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise Refused("It is not a regular file.")
    return os.fdopen(descriptor, "rb"), found.st_size
