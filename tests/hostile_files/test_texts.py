"""Text without end, bytes that are none, names that are paths, and things that are no files."""

from __future__ import annotations

import asyncio
import io
import os
import zipfile
from pathlib import Path

import pytest

from llama_stack.providers.file_processors.auto import Auto
from tests.hostile_files.guard import Guard, resident_bytes
from tests.support import documents
from tests.support.file_processors import Processor, opened

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


async def test_ten_million_lines(guard: Guard, tmp_path: Path) -> None:
    many = b"x\n" * 10_000_000
    assert "text_chars_max" in await guard.refused(many, "many.txt")
    async with opened(Auto, tmp_path, processes_max=1) as processor:
        parsed = await Guard(processor).read(many, "many.txt")
    assert parsed.text.count("\n") == 10_000_000


@pytest.mark.parametrize("name", ["line.txt", "line.json", "line.html", "line.csv", "line.rtf", "line.eml", ""])
async def test_a_line_of_200_megabytes(guard: Guard, tmp_path: Path, name: str) -> None:
    path = tmp_path / "long"
    with path.open("wb") as file:
        for _ in range(200):
            file.write(b"{\\rtf1 aaa" * (MIB // 10))
    assert "cannot be read" in await guard.refused(path, name)
    path.unlink()


async def test_a_file_that_is_larger_than_any_may_be(guard: Guard, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 3 * 1024 * MIB)
    assert "file_bytes_max" in await guard.refused(path, "sparse.txt")
    path.unlink()


@pytest.mark.parametrize("content", [b"\0" * MIB, b"\0", b"\0a" * MIB, bytes(range(32)) * 100, b"\xff" * 1000])
async def test_bytes_that_are_hardly_text(guard: Guard, content: bytes) -> None:
    await guard.survived(content, "nul.txt")


async def test_text_with_a_nul_loses_it(guard: Guard) -> None:
    assert (await guard.read(b"a long enough line of text\0, with one NUL in it\n", "a.txt")).text.count("\0") == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "filename"),
    [
        (b"<div>" * 300_000, "deep.html"),
        (b"<html>" + b"<!x" * 500_000, "declarations.html"),
        (b"<html>" + b"<!--" * 500_000, "comments.html"),
        (b"<html>" + b"<a b='" * 300_000, "attributes.html"),
        (b"<html>" + b"</" * 1_000_000, "ends.html"),
        (b"<html>" + b"&#" * 1_000_000, "references.html"),
        (b"<html><pre>" + b"\n" * 1_500_000, "lines.html"),
        (b"<!--" * 1000 + b" " * 8000, "start.txt"),
        (b'{"a":' * 300_000, "deep.json"),
        (b"[[],[],[],[]," * 150_000, "wide.json"),
        (b"9" * 1_900_000, "number.json"),
        (b'{"a": 1}\n' * 200_000, "lines.jsonl"),
        (b"{\\rtf1" + b"{" * 1_900_000, "deep.rtf"),
        (b"{\\rtf1" + b"\\u-1?\\'zz\\uc99999 " * 90_000, "words.rtf"),
        (b"From: a\n" * 200_000 + b"\nbody", "headers.eml"),
        (b"Subject: " + b"=?utf-8?q?" * 100_000 + b"\n\nbody", "encoded.eml"),
        (b"Content-Type: text/plain; charset=idna\n\n" + b"xn--a." * 200_000, "charset.eml"),
        (b'"' * 1_900_000, "quotes.csv"),
        (b"<?xml version='1.0' encoding='punycode'?><a>\xff</a>", "a.xml"),
    ],
)
async def test_what_makes_parsers_slow(guard: Guard, content: bytes, filename: str) -> None:
    await guard.survived(content, filename)


@pytest.mark.slow
async def test_mail_in_mail_in_mail(guard: Guard) -> None:
    parts = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(3000))
    await guard.survived(b"From: a\n" + parts + b"\nend", "deep.eml")
    wide = b'From: a\nContent-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n\nx\n" * 100_000
    await guard.survived(wide, "wide.eml")


@pytest.mark.parametrize(
    ("content", "filename", "says"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.pdf", "PNG"),
        (b"\x7fELF\2\1\1" + bytes(100), "a.docx", "program"),
        (b"MZ" + bytes(100), "report.xlsx", "program"),
    ],
)
async def test_wrong_endings_are_seen_through(guard: Guard, content: bytes, filename: str, says: str) -> None:
    assert says in await guard.refused(content, filename, "application/pdf")


async def test_text_under_a_wrong_name_is_text(guard: Guard) -> None:
    assert (await guard.read(b"only text", "a.pdf", "application/pdf")).text == "only text"
    assert (await guard.read(documents.pdf([["A PDF."]]), "a.py", "text/x-python")).text == "A PDF."


@pytest.mark.parametrize(
    "filename",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..\\..\\x.txt",
        "a\0b.txt",
        "x" * 5000 + ".txt",
        "\u202egnp.txt",
        "\ud800.txt",
        "-rf",
        ".",
    ],
)
async def test_names_are_only_names(guard: Guard, filename: str) -> None:
    assert (await guard.read(b"harmless", filename)).text == "harmless"
    message = await guard.refused(b"\x7fELF" + bytes(100), filename)
    assert "etc/" not in message
    assert len(message) < 600


async def test_only_regular_files_are_read(guard: Guard, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    link, pipe, folder = tmp_path / "link", tmp_path / "pipe", tmp_path / "folder"
    link.symlink_to(secret)
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (link, pipe, folder, tmp_path / "nowhere", Path("/dev/zero")):
        message = await guard.refused(path, "a.txt")
        assert "cannot be opened" in message or "not a regular file" in message


async def test_the_limit_of_memory_holds(guard: Guard, tmp_path: Path) -> None:
    """A document of millions of paragraphs, not packed: as a tree it is many times its size."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new,
        zipfile.ZipFile(io.BytesIO(documents.docx(lambda document: None))) as old,
    ):
        for name in old.namelist():
            body = old.read(name)
            if name == "word/document.xml":
                body = body.replace(b"<w:body>", b"<w:body>" + b"<w:p/>" * 8_000_000)
            new.writestr(name, body)
    path = tmp_path / "huge"
    path.write_bytes(out.getvalue())
    del out
    await guard.read(b"warm")
    watched = asyncio.create_task(most_resident(guard.processor))
    message = await guard.refused(path, "huge.docx")
    watched.cancel()
    assert "memory_bytes_max" in message
    assert 100 * MIB < await watched < 256 * MIB + 64 * MIB


async def most_resident(processor: Processor) -> int:
    """Of the first child, until it has gone or this is cancelled."""
    (pid,) = processor.pids
    most = 0
    try:
        while True:
            most = max(most, resident_bytes(pid))
            await asyncio.sleep(0.002)
    except (OSError, IndexError, asyncio.CancelledError):
        return most


async def test_no_process_is_left(tmp_path: Path) -> None:
    async with opened(Auto, tmp_path, timeout_s=1) as processor:
        slow = b"<html>" + b"<p>" * 15_000_000
        await asyncio.gather(*(processor.read(slow) for _ in range(4)), return_exceptions=True)
        await processor.read(b"a")
        pids = processor.pids
        assert pids
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
