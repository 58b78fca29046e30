"""What a file is: by its content, then by its name, then by what the client called it."""

from __future__ import annotations

import re
import zipfile
from types import MappingProxyType
from typing import Final

from llama_stack.providers._shared.parsing.draft import Refused, Unsupported
from llama_stack.providers._shared.parsing.encoding import decoded, is_binary
from llama_stack.providers._shared.parsing.source import Source

PDF: Final = "application/pdf"
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
DOCX: Final = _OFFICE + "wordprocessingml.document"
PPTX: Final = _OFFICE + "presentationml.presentation"
XLSX: Final = _OFFICE + "spreadsheetml.sheet"
HTML: Final = "text/html"
JSON: Final = "application/json"
JSONL: Final = "application/jsonl"
EMAIL: Final = "message/rfc822"
RTF: Final = "application/rtf"
PLAIN: Final = "text/plain"

READABLE: Final = (
    "PDF, DOCX, PPTX, XLSX, HTML, Markdown, RTF, plain text, CSV, TSV, JSON, JSONL, XML, YAML, e-mail (.eml) and "
    "source code"
)

_OFFICE_PARTS: Final = MappingProxyType(
    {"word/document.xml": DOCX, "ppt/presentation.xml": PPTX, "xl/workbook.xml": XLSX}
)
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_PDF_MARK_WITHIN: Final = 1024
"""A PDF may begin with other bytes, says the specification's appendix on what readers accept."""

_KNOWN_BINARIES: Final = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a bitmap image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"RIFF", "a RIFF file (sound, video or image)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"ID3", "sound"),
    (b"OggS", "sound or video"),
    (b"fLaC", "sound"),
    (b"SQLite format 3\0", "a SQLite database"),
)

_BY_SUFFIX: Final = MappingProxyType(
    {
        **dict.fromkeys((".html", ".htm", ".xhtml"), HTML),
        **dict.fromkeys((".md", ".markdown", ".mdx"), "text/markdown"),
        **dict.fromkeys((".jsonl", ".ndjson"), JSONL),
        **dict.fromkeys((".yaml", ".yml"), "application/yaml"),
        **dict.fromkeys((".c", ".h"), "text/x-c"),
        **dict.fromkeys((".cpp", ".cc", ".hpp"), "text/x-c++"),
        **dict.fromkeys((".sh", ".bash"), "application/x-sh"),
        **dict.fromkeys((".js", ".mjs"), "text/javascript"),
        **dict.fromkeys((".tex", ".latex"), "text/x-tex"),
        ".json": JSON,
        ".eml": EMAIL,
        ".rtf": RTF,
        ".csv": "text/csv",
        ".tsv": "text/tab-separated-values",
        ".xml": "application/xml",
        ".toml": "application/toml",
        ".css": "text/css",
        ".cs": "text/x-csharp",
        ".go": "text/x-golang",
        ".java": "text/x-java",
        ".php": "text/x-php",
        ".py": "text/x-python",
        ".rb": "text/x-ruby",
        ".rs": "text/x-rust",
        ".sql": "application/sql",
        ".ts": "application/typescript",
    }
)
_MAIL_HEADERS: Final = re.compile(
    r"(?:(?:From|To|Subject|Date|Received|Return-Path|Delivered-To|MIME-Version|Message-ID)[ \t]*:.*\n"
    r"(?:[ \t].*\n)*){3}",
    re.IGNORECASE,
)
_HTML_START: Final = re.compile(
    r"(?:<!--.*?-->\s*|<\?xml[^>]*>\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)


def kind_of(source: Source) -> str:
    """The media type. Raises `Unsupported` for what cannot be read, `Refused` for what is locked."""
    head = source.head
    if b"%PDF-" in head[:_PDF_MARK_WITHIN]:
        return PDF
    if head.startswith(_ZIP):
        return _kind_of_zip(source)
    if head.startswith(_OLE):
        raise _old_office(source)
    if head.startswith(b"{\\rtf"):
        return RTF
    binary = next((name for magic, name in _KNOWN_BINARIES if head.startswith(magic)), None)
    if (binary is not None or head[4:8] == b"ftyp") and is_binary(head):
        raise unreadable(f"It is {binary or 'a video or image'}")
    if is_binary(head):
        raise unreadable("It is neither text nor of a known binary type")
    return _kind_of_text(source)


def unreadable(what: str) -> Unsupported:
    return Unsupported(f"{what}. Files that can be read: {READABLE}.")


def _kind_of_zip(source: Source) -> str:
    try:
        with zipfile.ZipFile(source.file) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        if source.suffix in (".docx", ".pptx", ".xlsx"):
            raise Refused("It is broken: its end is missing, or it is no zip file as office documents are.") from None
        raise unreadable("It is an archive (zip), or the rest of one") from None
    for part, kind in _OFFICE_PARTS.items():
        if part in names:
            return kind
    raise unreadable("It is an archive (zip), and archives are not opened")


def _old_office(source: Source) -> Refused:
    source.file.seek(0)
    beginning = source.file.read(1024 * 1024)
    if "EncryptedPackage".encode("utf-16-le") in beginning:
        return Refused("It is encrypted. Save it without a password and upload it again.")
    return unreadable(
        "It is an office file of the former binary formats (.doc, .xls, .ppt, .msg); save it in a new one"
    )


def _kind_of_text(source: Source) -> str:
    start = decoded(source.head, source.content_type, markup=True).lstrip()
    if _HTML_START.match(start):
        return HTML
    by_name = _BY_SUFFIX.get(source.suffix)
    if by_name is not None:
        return by_name
    if source.content_type in (EMAIL, HTML, JSON, JSONL, *_BY_SUFFIX.values()):
        return source.content_type
    if not source.suffix and _MAIL_HEADERS.match(start.replace("\r\n", "\n")):
        return EMAIL
    return source.content_type if source.content_type.startswith("text/") else PLAIN
