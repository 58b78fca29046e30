"""What parent and child say to each other.

Parent to child: a frame each, a length of four bytes and JSON; the first is `Start`, the rest are `Job`s.
Child to parent, when it is ready and for each job: two lengths of four bytes, an `Answer` as JSON, the text in UTF-8.
"""

from __future__ import annotations

import struct
from typing import Literal, TypeAlias

import msgspec

FRAME = struct.Struct(">I")
ANSWER = struct.Struct(">II")
EXIT_OUT_OF_MEMORY = 70
"""The exit code of a child that has asked for more than its limit."""
ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""Of the JSON, in which the longest part is the list of pages."""

Value: TypeAlias = str | int | float | bool
Outcome: TypeAlias = Literal["parsed", "unsupported", "invalid"]


class Limits(msgspec.Struct, frozen=True):
    """Those of `settings.ParsingConfig` that the child keeps by itself, and what it may write to disk."""

    memory_bytes_max: int
    cpu_seconds_max: int
    file_bytes_max: int
    text_chars_max: int
    pages_max: int
    unpacked_bytes_max: int
    written_bytes_max: int = 0


class Start(msgspec.Struct, frozen=True):
    """`online` leaves the network to an engine that downloads its models."""

    engine: str
    limits: Limits
    online: bool = False


class Job(msgspec.Struct, frozen=True):
    """`password` opens an encrypted file; `clean_text` and `extract_metadata` as in `settings.ParsingConfig`.

    `cautious` is a second try, after the parser that is tried first has crashed: it is left out."""

    path: str
    filename: str
    content_type: str = ""
    password: str | None = None
    clean_text: bool = False
    extract_metadata: bool = True
    cautious: bool = False


class Answer(msgspec.Struct, omit_defaults=True):
    """`message` is for the client, where the outcome is not `parsed`. `pages` are number, start and end.

    `resident_bytes` is how large the child has grown, in memory that it keeps."""

    outcome: Outcome
    message: str = ""
    media_type: str = ""
    parser: str = ""
    pages: list[tuple[int, int, int]] = []
    metadata: dict[str, Value] = {}
    resident_bytes: int = 0


def framed(value: Start | Job) -> bytes:
    body = msgspec.json.encode(value)
    return FRAME.pack(len(body)) + body
