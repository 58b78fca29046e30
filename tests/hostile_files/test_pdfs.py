"""PDFs that are broken, endless, or larger inside than out."""

from __future__ import annotations

import functools
import random
import zlib
from pathlib import Path

import pytest

from llama_stack.providers.file_processors.auto import Auto
from tests.hostile_files.guard import Guard
from tests.support import documents
from tests.support.file_processors import opened

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
GOOD = documents.pdf([[f"Page {page}, line {line}." for line in range(30)] for page in range(1, 6)])
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), entries, content)


def one_page(
    content: bytes, entries: bytes = b"", more: dict[int, bytes] | None = None, resources: bytes = b""
) -> bytes:
    return documents.raw_pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
            b"/Resources << /Font << /F1 5 0 R >> %s >> >>" % resources,
            4: stream(content, entries),
            5: FONT,
            **(more or {}),
        }
    )


@functools.cache
def packed_zeros() -> bytes:
    """Half a gigabyte, twice what the process may take."""
    packer, zeros = zlib.compressobj(1), b"\0" * 16 * MIB
    return b"".join(packer.compress(zeros) for _ in range(32)) + packer.flush()


def test_the_good_ones_of_this_suite_are_good() -> None:
    import io

    import pypdf

    page = one_page(b"BT /F1 12 Tf 72 700 Td (Hello.) Tj ET")
    assert pypdf.PdfReader(io.BytesIO(page)).pages[0].extract_text() == "Hello."


async def test_broken_off(guard: Guard) -> None:
    for size in (8, 100, len(GOOD) // 3, len(GOOD) // 2, len(GOOD) - 200, len(GOOD) - 1):
        await guard.survived(GOOD[:size], "half.pdf")


async def test_bit_flipped(guard: Guard) -> None:
    dice = random.Random(7)
    for _ in range(25):
        flipped = bytearray(GOOD)
        for _ in range(dice.choice((1, 10, 100))):
            flipped[dice.randrange(9, len(flipped))] ^= 1 << dice.randrange(8)
        await guard.survived(bytes(flipped), "flipped.pdf")


async def test_only_the_beginning_of_one(guard: Guard) -> None:
    assert "broken" in await guard.refused(b"%PDF-1.7\n" + b"\xde\xad\xbe\xef" * 100_000, "junk.pdf")


async def test_an_encrypted_one(guard: Guard) -> None:
    assert "encrypted" in await guard.refused(documents.pdf([["x"]], password="p"), "locked.pdf")


async def test_a_tree_of_pages_that_goes_in_a_circle(guard: Guard) -> None:
    circle = documents.raw_pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Count 1000000 /Kids [3 0 R 2 0 R] >>",
            3: b"<< /Type /Pages /Count 1000000 /Kids [2 0 R 3 0 R] /Parent 2 0 R >>",
        }
    )
    await guard.refused(circle, "circle.pdf")


async def test_a_hundred_thousand_pages(guard: Guard) -> None:
    pages = b"3 0 R " * 100_000
    many = documents.raw_pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Count 100000 /Kids [%s] >>" % pages,
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
            b"/Resources << /Font << /F1 5 0 R >> >> >>",
            4: stream(b"BT /F1 12 Tf 72 700 Td (Again.) Tj ET"),
            5: FONT,
        }
    )
    assert "pages_max" in await guard.refused(many, "many.pdf")


async def test_a_number_of_pages_that_is_a_lie(guard: Guard) -> None:
    liar = documents.raw_pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Count 2147483647 /Kids [3 0 R] >>",
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] >>",
        }
    )
    await guard.refused(liar, "liar.pdf")


async def test_a_deep_tree_of_pages(guard: Guard) -> None:
    depth = 30_000
    nodes = {
        number: b"<< /Type /Pages /Count 1 /Kids [%d 0 R] /Parent %d 0 R >>" % (number + 1, number - 1)
        for number in range(2, depth)
    }
    deep = documents.raw_pdf({1: b"<< /Type /Catalog /Pages 2 0 R >>", **nodes, depth: b"<< /Type /Page >>"})
    await guard.refused(deep, "deep.pdf")


@pytest.mark.slow
@pytest.mark.parametrize("layers", [1, 2])
async def test_a_stream_that_unpacks_to_half_a_gigabyte(guard: Guard, layers: int) -> None:
    bomb = packed_zeros() if layers == 1 else zlib.compress(packed_zeros())
    filters = b"/Filter [" + b"/FlateDecode " * layers + b"]"
    await guard.refused(one_page(bomb, filters), "bomb.pdf")


@pytest.mark.slow
async def test_a_font_that_crashes_the_first_parser(guard: Guard) -> None:
    """The text is still read, by the parser that does not look into fonts."""
    page = one_page(
        b"BT /F2 12 Tf 72 700 Td (Read all the same.) Tj ET",
        resources=b"",
        more={
            5: b"<< /Type /Font /Subtype /TrueType /BaseFont /Odd /FirstChar 32 /LastChar 33 /Widths [500 500] "
            b"/Encoding /WinAnsiEncoding /FontDescriptor 6 0 R >>",
            6: b"<< /Type /FontDescriptor /FontName /Odd /Flags 32 /FontBBox [0 0 9 9] /ItalicAngle 0 /Ascent 9 "
            b"/Descent 0 /CapHeight 9 /StemV 9 /FontFile2 7 0 R >>",
            7: stream(packed_zeros(), b"/Filter /FlateDecode /Length1 536870912"),
        },
    ).replace(b"/F2", b"/F1")
    parsed = await guard.read(page, "font.pdf")
    assert parsed.text == "Read all the same."
    assert parsed.parser == "pypdf"


async def test_text_that_is_shown_without_end(guard: Guard) -> None:
    """Forms that show forms, ten times each: ten letters become a hundred million."""
    levels = 8
    forms = {}
    for level in range(levels):
        number = 10 + level
        content = b"/X%d Do " % (level + 1) * 10 if level < levels - 1 else b"BT /F1 9 Tf 72 700 Td (laughable!) Tj ET "
        resources = b"/Resources << /Font << /F1 5 0 R >> /XObject << /X%d %d 0 R >> >>" % (level + 1, number + 1)
        forms[number] = stream(content, b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] " + resources)
    laughs = one_page(b"/X0 Do " * 10, more=forms, resources=b"/XObject << /X0 10 0 R >>")
    await guard.survived(laughs, "laughs.pdf")


async def test_a_form_that_shows_itself(guard: Guard) -> None:
    form = {
        10: stream(
            b"/X0 Do", b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X0 10 0 R >> >>"
        )
    }
    message = await guard.refused(one_page(b"/X0 Do", more=form, resources=b"/XObject << /X0 10 0 R >>"), "self.pdf")
    assert "no text" in message


@pytest.mark.parametrize("content", [b"[" * 2_000_000, b"<<" * 1_000_000, b"q " * 2_000_000, b"(" * 3_000_000])
async def test_content_that_is_nested_without_end(guard: Guard, content: bytes) -> None:
    await guard.refused(one_page(content), "nested.pdf")


async def test_a_table_of_objects_that_refers_to_itself(guard: Guard) -> None:
    place = GOOD.rindex(b"xref", 0, GOOD.rindex(b"startxref"))
    looped = GOOD.replace(b"trailer\n<<", b"trailer\n<< /Prev %d" % place)
    assert looped != GOOD
    await guard.survived(looped, "looped.pdf")


async def test_objects_that_refer_to_each_other(guard: Guard) -> None:
    circle = documents.raw_pdf({1: b"2 0 R", 2: b"3 0 R", 3: b"1 0 R"})
    assert "broken" in await guard.refused(circle, "circle.pdf")
    length = one_page(b"BT ET").replace(b"/Length 5", b"/Length 4 0 R")
    await guard.refused(length, "length.pdf")


async def test_a_page_of_very_much_text(tmp_path: Path) -> None:
    """More than a file may give, in a file that is small."""
    lines = (b"BT /F1 1 Tf 1 %d Td (%s) Tj ET\n" % (2 * number, b"word " * 2000) for number in range(300))
    packed = zlib.compress(b"".join(lines))
    async with opened(Auto, tmp_path, text_chars_max=1_000_000, processes_max=1) as processor:
        message = await Guard(processor).refused(one_page(packed, b"/Filter /FlateDecode"), "long.pdf")
    assert "text_chars_max" in message
