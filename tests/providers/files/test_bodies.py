"""Bodies on their way: cut into pieces, put into a form, worked on in threads."""

from __future__ import annotations

import asyncio
import email
import email.policy
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.providers._shared.multipart_body import MultipartBody, checked_content_type
from llama_stack.providers._shared.pieces import pieces, pieces_ahead
from llama_stack.providers._shared.threads import Threads
from tests.providers.files.places import stream

pytestmark = pytest.mark.anyio


@given(parts=st.lists(st.binary(max_size=40), max_size=20), size=st.integers(1, 30))
async def test_pieces_are_the_same_bytes_cut_anew(parts: list[bytes], size: int) -> None:
    cut = [piece async for piece in pieces(stream(*parts), size)]
    assert cut == [piece async for piece in pieces_ahead(stream(*parts), size)]
    assert b"".join(cut) == b"".join(parts)
    assert all(len(piece) == size for piece in cut[:-1])
    assert not cut or 0 < len(cut[-1]) <= size


async def test_while_a_piece_is_worked_on_the_next_one_is_read() -> None:
    read: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        for number in range(4):
            read.append(number)
            yield b"x"

    async with aclosing(pieces_ahead(body(), 1)) as pieces:
        await anext(pieces)
        await asyncio.sleep(0)
        assert read == [0, 1]
        assert [piece async for piece in pieces] == [b"x"] * 3


async def test_once_it_is_closed_nobody_is_in_the_body() -> None:
    inside = asyncio.Event()

    async def body() -> AsyncGenerator[bytes]:
        yield b"x"
        inside.set()
        await asyncio.Event().wait()

    endless = body()
    async with aclosing(pieces_ahead(endless, 1)) as pieces:
        await anext(pieces)
        await inside.wait()
    await endless.aclose()  # which fails while somebody is still in it


@given(
    fields=st.dictionaries(
        st.text("abc_-", min_size=1), st.text(st.characters(codec="utf-8", exclude_characters="\r\n"))
    ),
    file=st.lists(st.binary(max_size=60)),
    known=st.booleans(),
)
async def test_a_form_is_read_as_it_was_meant(fields: dict[str, str], file: list[bytes], known: bool) -> None:
    whole = b"".join(file)
    form = MultipartBody(
        fields,
        name="file",
        filename='a"b.txt',
        content_type="text/plain",
        file=stream(*file),
        size=len(whole) if known else None,
    )
    sent = b"".join([data async for data in form])
    assert form.length == (len(sent) if known else None)
    assert form.headers.get("Content-Length") == (str(len(sent)) if known else None)
    boundary = form.content_type.partition("boundary=")[2].encode()
    head, *parts, tail = sent.split(b"--" + boundary)
    assert (head, tail) == (b"", b"--\r\n")
    said = [part.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n") for part in parts]
    assert [body for _, _, body in said] == [*(value.encode() for value in fields.values()), whole]
    names = [email.message_from_bytes(header, policy=email.policy.HTTP).get_param for header, _, _ in said]
    assert [name("name", header="Content-Disposition") for name in names] == [*fields, "file"]
    assert names[-1]("filename", header="Content-Disposition") == "a%22b.txt"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("application/pdf", "application/pdf"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("", "application/octet-stream"),
        ("text", "application/octet-stream"),
        ("text/plain\r\nX: y", "application/octet-stream"),
        ("text/ünï", "application/octet-stream"),
    ],
)
def test_content_types(said: str, meant: str) -> None:
    assert checked_content_type(said) == meant


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    threads = Threads("test", threads_max=2)
    threads.open()
    yield threads
    await threads.close()


async def test_who_is_cancelled_waits_for_the_thread(threads: Threads) -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        assert go_on.wait(10)
        ended.append(True)

    task = asyncio.create_task(threads.run(work))
    await asyncio.to_thread(begun.wait)
    for _ in range(3):  # as often as one likes
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_who_is_cancelled_goes_on_at_once_where_nothing_is_held(threads: Threads) -> None:
    go_on = threading.Event()

    def work() -> None:
        assert go_on.wait(10)
        raise OSError("heard by nobody")

    task = asyncio.create_task(threads.run_detached(work))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()


async def test_what_work_raises_and_gives(threads: Threads) -> None:
    assert await threads.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await threads.run(divmod, 7, 0)


async def test_threads_that_are_not_open() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await Threads("test", threads_max=1).run(divmod, 7, 2)
