"""Office files are zip archives of XML. Before a library opens one, it is known to be harmless."""

from __future__ import annotations

import re
import zipfile
import zlib
from typing import Final
from xml.parsers import expat

from llama_stack.providers._shared.parsing.draft import Refused
from llama_stack.providers._shared.parsing.source import Source

MEMBERS_MAX: Final = 20_000
RATIO_MAX: Final = 200
"""Of what a member is unpacked to what it is packed; sheets of equal rows come to a hundred."""
RATIO_COUNTS_FROM_BYTES: Final = 8 * 1024 * 1024
_XML_READ_BYTES: Final = 16 * 1024
_PROLOG_BYTES_MAX: Final = 1024 * 1024
_ENCRYPTED: Final = 0x1
_XML: Final = (".xml", ".rels", ".vml")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, ValueError)
"""What reading a broken archive raises."""


class _Harmless(Exception):
    """The root element begins, and there was no DTD."""


def check_office(source: Source) -> None:
    """Raises `Refused` for bombs, tricks with paths, encryption and documents that bring entities of their own."""
    source.file.seek(0)
    try:
        with zipfile.ZipFile(source.file) as archive:
            members = archive.infolist()
            _check_sizes(members, source.limits.unpacked_bytes_max)
            for member in members:
                _check_name(member.filename)
            for member in members:
                if member.filename.lower().endswith(_XML):
                    _check_xml(archive, member)
    except DAMAGED:
        raise Refused("It is broken: a part of it cannot be unpacked.") from None
    finally:
        source.file.seek(0)


def _check_sizes(members: list[zipfile.ZipInfo], unpacked_bytes_max: int) -> None:
    """The sizes are those that the archive declares: Python unpacks no more than that of a member."""
    if len(members) > MEMBERS_MAX:
        raise Refused(f"It consists of {len(members)} parts, and at most {MEMBERS_MAX} are read.")
    if sum(member.file_size for member in members) > unpacked_bytes_max:
        raise Refused(
            f"Unpacked it is larger than {unpacked_bytes_max} bytes; unpacked_bytes_max of the file processor raises "
            "that limit."
        )
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise Refused("It is encrypted. Save it without a password and upload it again.")
        if member.file_size > RATIO_COUNTS_FROM_BYTES and member.file_size > member.compress_size * RATIO_MAX:
            raise Refused(f"A part of it is packed more than {RATIO_MAX} times, as in a zip bomb.")
    if len({member.filename for member in members}) != len(members):
        raise Refused("It is broken: two parts of it have the same name.")


def _check_name(name: str) -> None:
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or _DRIVE.match(name) or "\0" in name:
        raise Refused("It is not an office document: a part of it has a name that leads out of the archive.")


def _check_xml(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Office formats forbid document type definitions, where entities that expand without end would stand."""
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = _stop_at_root
    read = 0
    try:
        with archive.open(member) as part:
            while data := part.read(_XML_READ_BYTES):
                read += len(data)
                if read > _PROLOG_BYTES_MAX:
                    raise Refused("It is broken: a part of it does not begin as XML does.")
                parser.Parse(data)
    except _Harmless:
        pass
    except expat.ExpatError:
        pass  # a part that is no XML is for the library to judge; it reads it without entities too


def _refuse_doctype(*_: object) -> None:
    raise Refused("It is not an office document: a part of it defines XML entities of its own.")


def _stop_at_root(*_: object) -> None:
    raise _Harmless
