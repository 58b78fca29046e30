"""Zip bombs and other archives that are not what they seem."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.hostile_files.guard import Guard
from tests.support import documents

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
DOCUMENT = documents.docx(lambda document: document.add_paragraph("Hello."))
SLIDES = documents.pptx(lambda presentation: presentation.slides.add_slide(presentation.slide_layouts[6]))
SHEETS = documents.xlsx({"Sheet": [["Hello."]]})
OFFICE = {"docx": DOCUMENT, "pptx": SLIDES, "xlsx": SHEETS}
MAIN = {"docx": "word/document.xml", "pptx": "ppt/presentation.xml", "xlsx": "xl/worksheets/sheet1.xml"}

office = pytest.mark.parametrize("kind", OFFICE)


def archive(members: dict[str, bytes], **options: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, **options) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


def test_the_documents_of_this_suite_are_good_themselves() -> None:
    for kind, document in OFFICE.items():
        assert MAIN[kind] in zipfile.ZipFile(io.BytesIO(document)).namelist()


async def test_archives_are_not_opened(guard: Guard) -> None:
    nested = archive({"a.txt": b"0" * 30 * MIB})
    for _ in range(3):
        nested = archive({"a.zip": nested})
    for name in ("bomb.zip", "bomb.docx", "bomb.txt"):
        message = await guard.refused(nested, name)
        assert "archives are not opened" in message
        assert "PDF, DOCX" in message


@office
async def test_a_part_that_is_a_bomb(guard: Guard, kind: str) -> None:
    bomb = documents.with_member(OFFICE[kind], MAIN[kind], b"<a>" + b" " * 60 * MIB)
    assert "zip bomb" in await guard.refused(bomb, f"bomb.{kind}")


@office
async def test_many_parts_that_are_too_much_together(guard: Guard, kind: str) -> None:
    bomb = OFFICE[kind]
    many = {f"media/{number}.bin": b"\0" * 7 * MIB for number in range(10)}
    with io.BytesIO(bomb) as out:
        out.seek(0, io.SEEK_END)
        with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as file:
            for name, content in many.items():
                file.writestr(name, content)
        message = await guard.refused(out.getvalue(), f"bomb.{kind}")
    assert "unpacked_bytes_max" in message


async def test_very_many_members(guard: Guard) -> None:
    out = io.BytesIO(DOCUMENT)
    out.seek(0, io.SEEK_END)
    with zipfile.ZipFile(out, "a") as file:
        for number in range(20_001):
            file.writestr(f"x{number}", b"")
    assert "20000" in await guard.refused(out.getvalue(), "many.docx")


def lying(document: bytes, name: str, size: int) -> bytes:
    """The archive with another uncompressed size of a member, in both places that state it."""
    out = bytearray(document)
    with zipfile.ZipFile(io.BytesIO(document)) as file:
        member = file.getinfo(name)
        true = struct.pack("<I", member.file_size)
        struct.pack_into("<I", out, member.header_offset + 22, size)
        place = out.index(true, file.start_dir) if size != member.file_size else 0
    while out[place - 24 : place - 20] != b"PK\x01\x02":
        place = out.index(true, place + 1)
    struct.pack_into("<I", out, place, size)
    return bytes(out)


async def test_sizes_that_are_lies(guard: Guard) -> None:
    big = documents.with_member(DOCUMENT, "word/document.xml", b"<a>" + b" " * 30 * MIB)
    assert "cannot be read" in await guard.refused(lying(big, "word/document.xml", 100), "liar.docx")
    assert "unpacked_bytes_max" in await guard.refused(lying(DOCUMENT, "word/document.xml", 2**31), "liar.docx")


async def test_members_that_overlap(guard: Guard) -> None:
    """As in the bombs that unpack one kernel of zeros many times: here two names have the same place."""
    out = bytearray(archive({"word/document.xml": b"<a/>", "word/b.xml": b"<b/>"}))
    start = zipfile.ZipFile(io.BytesIO(bytes(out))).start_dir
    second = out.index(b"PK\x01\x02", start + 4)
    struct.pack_into("<I", out, second + 42, 0)
    assert "broken" in await guard.refused(bytes(out), "overlap.docx")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..\\..\\x", "C:\\x", "word/../../x", "\\\\server\\share"]
)
async def test_names_that_lead_out_of_the_archive(guard: Guard, name: str) -> None:
    assert "leads out" in await guard.refused(documents.with_member(DOCUMENT, name, b"x"), "tricks.docx")


@pytest.mark.filterwarnings("ignore:Duplicate name")
async def test_two_parts_of_one_name(guard: Guard) -> None:
    out = io.BytesIO(DOCUMENT)
    out.seek(0, io.SEEK_END)
    with zipfile.ZipFile(out, "a") as file:
        file.writestr("word/document.xml", b"<x/>")
    assert "same name" in await guard.refused(out.getvalue(), "double.docx")


LAUGHS = (
    "<!DOCTYPE lolz [<!ENTITY a0 'ha'>" + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12)) + "]>"
)
OUTSIDE = "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>"


@office
@pytest.mark.parametrize("doctype", [LAUGHS, OUTSIDE, "<!DOCTYPE x SYSTEM 'http://127.0.0.1:9/x.dtd'>"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_entities_of_their_own(guard: Guard, kind: str, doctype: str, encoding: str) -> None:
    def poisoned(xml: bytes) -> bytes:
        text = xml.decode().split("?>", 1)[-1]
        return f'<?xml version="1.0" encoding="{encoding}"?>{doctype}{text}'.encode(encoding)

    bomb = documents.with_member(OFFICE[kind], MAIN[kind], poisoned)
    assert "defines XML entities" in await guard.refused(bomb, f"laughs.{kind}")


async def test_xml_that_is_nested_without_end(guard: Guard) -> None:
    deep = b"<w:document>" + b"<a>" * 3_000_000
    await guard.refused(documents.with_member(DOCUMENT, "word/document.xml", deep), "deep.docx")


@pytest.mark.parametrize("kind", ["docx", "pptx", "xlsx"])
async def test_broken_off_and_bit_flipped(guard: Guard, kind: str) -> None:
    document, dice = OFFICE[kind], random.Random(4)
    for size in (10, len(document) // 2, len(document) - 30):
        assert "cannot be read" in await guard.refused(document[:size], f"half.{kind}")
    for _ in range(12):
        flipped = bytearray(document)
        for _ in range(20):
            flipped[dice.randrange(len(flipped))] ^= 1 << dice.randrange(8)
        await guard.survived(bytes(flipped), f"flipped.{kind}")


def emptied(xml: bytes) -> bytes:
    return b"<w:document xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'/>"


@pytest.mark.parametrize("change", [emptied, lambda xml: b"", lambda xml: b"not xml", lambda xml: xml[: len(xml) // 2]])
async def test_parts_that_are_no_document(guard: Guard, change: Callable[[bytes], bytes]) -> None:
    await guard.survived(documents.with_member(DOCUMENT, "word/document.xml", change), "odd.docx")
    without = documents.with_member(DOCUMENT, "[Content_Types].xml", b"<Types/>")
    assert "broken" in await guard.refused(without, "typeless.docx")


async def test_an_encrypted_office_file(guard: Guard) -> None:
    locked = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000) + "EncryptedPackage".encode("utf-16-le") + bytes(3000)
    assert "encrypted" in await guard.refused(locked, "locked.docx")
    flagged = bytearray(DOCUMENT)
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = flagged.find(magic)
        while place >= 0:
            flagged[place + offset] |= 1
            place = flagged.find(magic, place + 4)
    assert "encrypted" in await guard.refused(bytes(flagged), "locked.docx")


async def test_a_sheet_that_claims_to_be_endless(guard: Guard) -> None:
    def far(xml: bytes) -> bytes:
        return xml.replace(b'ref="A1"', b'ref="A1:XFD1048576"').replace(
            b"</row>", b'</row><row r="1048576"><c r="XFD1048576"><v>7</v></c></row>'
        )

    parsed = await guard.read(documents.with_member(SHEETS, "xl/worksheets/sheet1.xml", far), "far.xlsx")
    assert parsed.text.startswith("# Sheet\nHello.\n")
    assert parsed.text.endswith("7")
