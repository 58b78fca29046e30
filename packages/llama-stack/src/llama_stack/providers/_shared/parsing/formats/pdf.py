"""PDF: by PDFium, and by pypdf what PDFium does not get text from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from llama_stack.providers._shared.parsing.draft import Draft, Refused, tidied
from llama_stack.providers._shared.parsing.kinds import PDF
from llama_stack.providers._shared.parsing.source import Source
from llama_stack.providers._shared.parsing.wire import Answer

_PDFIUM_LOCKED: Final = (4, 5)
"""Its error codes for a wrong password and for a way of encryption that it does not know."""
_HYPHEN_AT_LINE_END: Final = re.compile("[\ufffe\x02](?:\r?\n)?")
"""PDFium's mark for a hyphen that only divides a word at the end of a line."""
_NOT_TEXT: Final = re.compile("[\x00-\x08\x0b\x0e-\x1f\ufffe\uffff]")
_LINE_END: Final = re.compile(r"[ \t]+\n")
_NO_PROGRAM_WROTE_IT: Final = (
    *(RecursionError, NotImplementedError, ValueError, TypeError, KeyError, IndexError, AttributeError),
    *(AssertionError, OSError),
)
"""What pypdf raises on such files."""
ENCRYPTED: Final = "It is encrypted. Upload it without a password, or give the password as the option 'password'."
NO_TEXT: Final = (
    "It has pages but no text: they are probably scanned images. A file processor of type inline::docling or "
    "remote::docling-serve reads those."
)


def read(source: Source) -> tuple[Answer, str]:
    trouble = ""
    for parser, reader in _READERS[source.cautious :]:
        draft = Draft(source.limits)
        try:
            pages = reader(source, draft)
        except _Unreadable as error:
            trouble = str(error)
            continue
        if not draft.is_empty:
            draft.note("page_count", pages)
            return draft.finish(PDF, parser)
        trouble = NO_TEXT if pages else "It has no pages."
    raise Refused(trouble)


class _Unreadable(Exception):
    """This parser cannot read it; the other one may."""


def _by_pdfium(source: Source, draft: Draft) -> int:
    import pypdfium2

    try:
        with pypdfium2.PdfDocument(str(source.path), password=source.password) as document:
            draft.check_pages(len(document))
            if source.extract_metadata:
                for name, value in document.get_metadata_dict(skip_empty=True).items():
                    draft.note(_snake(name), value)
            for number in range(1, len(document) + 1):
                draft.add(_cleaned(_page_text(document, number), source), number)
            return len(document)
    except pypdfium2.PdfiumError as error:
        if error.err_code in _PDFIUM_LOCKED:
            raise Refused(ENCRYPTED) from None
        raise _Unreadable("It is broken: it cannot be read as PDF.") from None


def _page_text(document: Any, number: int) -> str:
    page = document[number - 1]
    try:
        content = page.get_textpage()
        try:
            text: str = content.get_text_range(errors="replace")
            return text
        finally:
            content.close()
    finally:
        page.close()


def _by_pypdf(source: Source, draft: Draft) -> int:
    import pypdf
    from pypdf.errors import PyPdfError

    source.file.seek(0)
    try:
        document = pypdf.PdfReader(source.file, strict=False)
        if document.is_encrypted and not document.decrypt(source.password or ""):
            raise Refused(ENCRYPTED)
        draft.check_pages(len(document.pages))
        if source.extract_metadata:
            for name, value in (document.metadata or {}).items():
                draft.note(_snake(name.lstrip("/")), str(value))
        for number, text in _pypdf_pages(document):
            draft.add(_cleaned(text, source), number)
        return len(document.pages)
    except PyPdfError:
        raise _Unreadable("It is broken: it cannot be read as PDF.") from None
    except _NO_PROGRAM_WROTE_IT:
        raise _Unreadable("It is broken: its structure makes no sense.") from None


def _pypdf_pages(document: Any) -> Iterator[tuple[int, str]]:
    for number, page in enumerate(document.pages, start=1):
        yield number, page.extract_text()


_READERS: Final = (("pypdfium2", _by_pdfium), ("pypdf", _by_pypdf))
"""The second one is Python alone, and does not crash."""


def _cleaned(text: str, source: Source) -> str:
    text = _HYPHEN_AT_LINE_END.sub("", text).replace("\x0c", "\n").replace("\r\n", "\n")
    text = _NOT_TEXT.sub("", text)
    return tidied(text) if source.clean_text else _LINE_END.sub("\n", text).strip()


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)[:64].lower()
