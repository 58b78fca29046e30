"""What a file processor can do: turn a file into text that can be cited by page and character."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from llama_stack_api.principal import Call


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file on the local disk, for reading alone. `filename` and `content_type` are as the client gave them: hints
    that may be wrong."""

    path: Path
    filename: str
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """`text[start:end]` of the document is what stands on page (slide, sheet) `number`, counted from 1."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """`pages` are in order and do not overlap; empty where the format has none. `media_type` is what the file turned
    out to be, `parser` what read it. `metadata` is what the file says of itself (title, author, …)."""

    text: str
    media_type: str
    parser: str
    pages: tuple[Page, ...] = ()
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=dict)


@runtime_checkable
class ParsesFiles(Protocol):
    async def parse_file(self, source: SourceFile, options: Mapping[str, Any], call: Call) -> ParsedFile:
        """Raises `UnsupportedFile` for a type that it cannot read, `InvalidFile` for one that is broken, encrypted or
        beyond the limits of time and memory: that file is set aside, and nothing else suffers.

        Deterministic: the same file gives the same text.
        """
        ...


FILE_PROCESSORS_PORTS: tuple[type, ...] = (ParsesFiles,)
