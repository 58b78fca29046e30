"""What reads files, by the name under which a provider asks for it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from llama_stack.providers._shared.parsing import kinds
from llama_stack.providers._shared.parsing.draft import Draft, Refused, Unsupported
from llama_stack.providers._shared.parsing.office import DAMAGED, check_office
from llama_stack.providers._shared.parsing.source import Source
from llama_stack.providers._shared.parsing.wire import Answer

OWN: Final = "own"
MARKITDOWN: Final = "markitdown"
DOCLING: Final = "docling"

_READERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        kinds.PDF: "pdf",
        kinds.DOCX: "docx",
        kinds.PPTX: "pptx",
        kinds.XLSX: "xlsx",
        kinds.HTML: "html",
        kinds.EMAIL: "email_message",
        kinds.RTF: "rtf",
    }
)
_OFFICE: Final = frozenset({kinds.DOCX, kinds.PPTX, kinds.XLSX})
_XML_OUT_OF_MEMORY: Final = 2
"""libxml2's code for it."""
_FORMATS: Final = "llama_stack.providers._shared.parsing.formats"


def engine_of(name: str) -> Callable[[Source], tuple[Answer, str]]:
    return {OWN: _own, MARKITDOWN: _markitdown, DOCLING: _docling}[name]


def _own(source: Source) -> tuple[Answer, str]:
    kind = kinds.kind_of(source)
    if source.cautious and kind != kinds.PDF:
        raise Refused("There is no second parser for it.")
    name = _READERS.get(kind)
    try:
        if name is not None:
            read: Callable[[Source], tuple[Answer, str]] = importlib.import_module(f"{_FORMATS}.{name}").read
            return read(source)
        name = "json_text" if kind in (kinds.JSON, kinds.JSONL) else "plain"
        as_text: Callable[[Source, str], tuple[Answer, str]] = importlib.import_module(f"{_FORMATS}.{name}").read
        return as_text(source, kind)
    except ImportError as error:
        raise Unsupported(
            f"Reading {kind} needs {error.name}, which is not installed: pip install 'llama-stack[documents]'."
        ) from None
    except SyntaxError as error:  # lxml's
        if getattr(error, "code", None) == _XML_OUT_OF_MEMORY:
            raise MemoryError from None
        raise Refused("It is broken: a part of it is not XML.") from None
    except (*DAMAGED, KeyError, IndexError, AttributeError, TypeError, RecursionError, AssertionError):
        # What libraries raise on documents that no program has written.
        if kind in _OFFICE:
            raise Refused("It is broken: its parts do not make a document.") from None
        raise


def _markitdown(source: Source) -> tuple[Answer, str]:
    from markitdown import MarkItDown, MarkItDownException, StreamInfo

    kind = kinds.kind_of(source)
    if kind in _OFFICE:
        check_office(source)
    source.file.seek(0)
    info = StreamInfo(mimetype=kind, extension=source.suffix or None, filename=source.filename or None)
    try:
        converted = MarkItDown(enable_plugins=False).convert_stream(source.file, stream_info=info)
    except MarkItDownException as error:
        raise Refused(f"MarkItDown cannot read it ({type(error).__name__}).") from None
    draft = Draft(source.limits)
    if source.extract_metadata:
        draft.note("title", converted.title)
    draft.add(converted.markdown.strip())
    return draft.finish(kind, MARKITDOWN)


def _docling(source: Source) -> tuple[Answer, str]:
    from docling.datamodel.base_models import ConversionStatus, DocumentStream
    from docling.document_converter import DocumentConverter

    source.file.seek(0)
    stream = DocumentStream(name=source.filename or "document", stream=_in_memory(source))
    limits = source.limits
    converted = DocumentConverter().convert(
        stream, raises_on_error=False, max_num_pages=limits.pages_max, max_file_size=limits.file_bytes_max
    )
    if converted.status not in (ConversionStatus.SUCCESS, ConversionStatus.PARTIAL_SUCCESS):
        raise Refused("Docling cannot read it: it is broken, or of a type that Docling does not know.")
    document = converted.document
    draft = Draft(limits)
    numbers = sorted(document.pages)
    for number in numbers:
        draft.add(document.export_to_markdown(page_no=number).strip(), number)
    if not numbers:
        draft.add(document.export_to_markdown().strip())
    draft.note("page_count", len(numbers))
    origin = document.origin
    return draft.finish(origin.mimetype if origin is not None else source.content_type, DOCLING)


def _in_memory(source: Source) -> Any:
    import io

    return io.BytesIO(source.read())
