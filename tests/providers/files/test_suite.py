"""What every files provider has to keep to."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llama_stack_api.errors import NotFound, PayloadTooLarge
from llama_stack_api.ports.files import DiscardsUnfinished, KeepsContent
from llama_stack_api.provider import HealthStatus
from tests.providers.files.places import CALL, Place, new, stream

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
BIG = random.Random(4).randbytes(20 * MIB + 17)
SMALL = bytes(range(256)) * 5


def crumbs(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def has_port(place: Place, port: type) -> bool:
    return isinstance(place.provider, port)


async def test_it_has_the_port_and_is_well(place: Place) -> None:
    assert (await place.provider.health()).status is HealthStatus.OK
    assert isinstance(place.provider, KeepsContent)


@pytest.mark.parametrize("body", [b"", b"x", b"\0\r\n--\xff", BIG], ids=["empty", "one", "binary", "20MiB"])
async def test_what_goes_in_comes_out(place: Place, body: bytes) -> None:
    kept = await place.put(*crumbs(body, 65_521))
    assert kept.size == len(body)
    assert kept.sha256 == hashlib.sha256(body).hexdigest()
    assert await place.get(kept.key) == body


@pytest.mark.parametrize("size", [8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 16 * MIB])
async def test_sizes_about_those_of_the_parts(place: Place, size: int) -> None:
    kept = await place.put(*crumbs(BIG[:size], 3 * MIB), size=size)
    assert kept.size == size
    assert (
        hashlib.sha256(await place.get(kept.key)).hexdigest() == kept.sha256 == hashlib.sha256(BIG[:size]).hexdigest()
    )


async def test_empty_pieces_and_one_huge_one(place: Place) -> None:
    kept = await place.put(b"", BIG, b"", b"end")
    assert await place.get(kept.key) == BIG + b"end"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        *((0, 0), (0, 1), (0, None), (1, None), (5, 5), (9, 3), (0, 1280), (0, 10_000), (100, 10_000), (1279, 1280)),
        *((1279, None), (1280, None), (1280, 1281), (5000, None), (5000, 6000)),
    ],
)
async def test_borders_of_a_range(place: Place, start: int, end: int | None) -> None:
    kept = await place.put(SMALL)
    assert len(SMALL) == 1280
    assert await place.get(kept.key, start, end) == SMALL[start : max(start, len(SMALL) if end is None else end)]


async def test_ranges_of_a_large_and_of_an_empty_one(place: Place) -> None:
    big, empty = await place.put(BIG), await place.put()
    for start, end in [
        (MIB - 1, MIB + 1),
        (8 * MIB - 1, 8 * MIB + 1),
        (3, 17 * MIB),
        (20 * MIB, None),
        (19 * MIB, 99 * MIB),
    ]:
        assert await place.get(big.key, start, end) == BIG[start:end]
    for start, end in [(0, 0), (0, 1), (0, None), (1, None)]:
        assert await place.get(empty.key, start, end) == b""


@settings(max_examples=30, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(0, 1400), start=st.integers(0, 1500), end=st.none() | st.integers(0, 1500))
async def test_any_range(place: Place, size: int, start: int, end: int | None) -> None:
    body = BIG[:size]
    kept = await place.put(body)
    assert await place.get(kept.key, start, end) == body[start : size if end is None else max(start, end)]
    await place.provider.delete_content(kept.key, CALL)


async def test_a_reader_may_stop_early(place: Place) -> None:
    kept = await place.put(BIG)
    reading = place.provider.read_content(kept.key, CALL)
    first = await anext(reading)
    await reading.aclose()
    assert BIG.startswith(first)
    assert await place.get(kept.key, 0, 10) == BIG[:10]


async def test_equal_contents_written_at_once(place: Place) -> None:
    body = BIG[: 2 * MIB]
    kept = await asyncio.gather(*(place.put(*crumbs(body, 300_000)) for _ in range(8)))
    assert len({one.key for one in kept}) == 8
    await asyncio.gather(*(place.provider.delete_content(one.key, CALL) for one in kept[:5]))
    for one in kept[:5]:
        with pytest.raises(NotFound):
            await place.get(one.key)
    for one in kept[5:]:
        assert await place.get(one.key) == body


async def test_writes_and_deletes_of_one_content_in_any_order(place: Place) -> None:
    async def come_and_go() -> None:
        for _ in range(5):
            kept = await place.put(SMALL)
            assert await place.get(kept.key) == SMALL
            await place.provider.delete_content(kept.key, CALL)

    await asyncio.gather(*(come_and_go() for _ in range(6)))
    assert place.left() == []


async def test_deletion_twice_and_of_what_never_was(place: Place) -> None:
    kept, other = await place.put(SMALL), await place.put(SMALL)
    await place.provider.delete_content(kept.key, CALL)
    await place.provider.delete_content(kept.key, CALL)
    with pytest.raises(NotFound):
        await place.get(kept.key)
    with pytest.raises(NotFound):
        await place.get(kept.key, 3, 5)
    assert await place.get(other.key) == SMALL
    await place.provider.delete_content(other.key, CALL)
    assert place.left() == []
    for key in ["", "no-such-key", "../../etc/passwd", "0" * 32 + "/../x." + "0" * 64, "a/b/c", other.key + "0"]:
        await place.provider.delete_content(key, CALL)
        with pytest.raises(NotFound):
            await place.get(key)


async def test_two_tenants_share_nothing(place: Place) -> None:
    one, two = await place.put(SMALL, tenant="acme"), await place.put(SMALL, tenant="../globex\0\n" + "x" * 500)
    assert one.key != two.key
    assert not any("acme" in name or "globex" in name for name in [*place.left(), one.key, two.key])
    await place.provider.delete_content(one.key, CALL)
    assert await place.get(two.key) == SMALL
    await place.provider.delete_content(two.key, CALL)
    assert place.left() == []


@pytest.mark.parametrize("before", [0, 100, 9 * MIB, 20 * MIB])
@pytest.mark.parametrize("size", [None, 40 * MIB], ids=["unknown", "known"])
async def test_a_body_that_fails_leaves_nothing(place: Place, before: int, size: int | None) -> None:
    async def failing() -> AsyncIterator[bytes]:
        for data in crumbs(BIG[:before], MIB):
            yield data
        raise PayloadTooLarge("too large, says who sends it")

    with pytest.raises(PayloadTooLarge, match="says who sends it"):
        await place.send(failing(), size=size)
    assert place.left() == []


@pytest.mark.parametrize("before", [0, 100, 9 * MIB, 17 * MIB])
async def test_cancellation_leaves_nothing(place: Place, before: int) -> None:
    waiting = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes]:
        for data in crumbs(BIG[:before], MIB):
            yield data
        waiting.set()
        await asyncio.Event().wait()

    body = endless()
    task = asyncio.create_task(place.send(body))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await body.aclose()  # which fails while somebody is still in it
    assert place.left() == []


@pytest.mark.parametrize("turns", range(0, 60, 4))
async def test_cancellation_at_any_moment_leaves_all_or_nothing(place: Place, turns: int) -> None:
    content = new()
    task = asyncio.create_task(place.provider.write_content(content, stream(*crumbs(BIG[: 9 * MIB], MIB)), CALL))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    try:
        kept = await task
    except asyncio.CancelledError:
        if has_port(place, DiscardsUnfinished):
            assert place.left() == []
    else:
        assert await place.get(kept.key, 0, 9) == BIG[:9]


async def test_what_was_kept_can_be_discarded_without_its_key(place: Place) -> None:
    if not has_port(place, DiscardsUnfinished):
        pytest.skip("it cannot find a content without its key")
    lost, kept = new(), await place.put(SMALL)
    await place.provider.write_content(lost, stream(SMALL), CALL)
    before = place.left()
    await place.provider.discard_content("another", lost.id, CALL)
    await place.provider.discard_content("t", lost.id[:-1], CALL)
    assert place.left() == before
    await place.provider.discard_content("t", lost.id, CALL)
    await place.provider.discard_content("t", lost.id, CALL)
    assert await place.get(kept.key) == SMALL
    await place.provider.delete_content(kept.key, CALL)
    assert place.left() == []
