"""What is particular to `inline::faiss`: a cache of the rows, and the graph of a large index."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llama_stack.providers.vector_io.faiss import Faiss, FaissConfig
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.opening import checked_config, unknown_keys
from llama_stack_api.api import Api
from llama_stack_api.filters import Filter
from llama_stack_api.ports.vector_io import Index, IndexedChunk, RowDelta
from tests.providers.vector_io.suite import Engine, Site, chunk, filter_of, id_of, ids, opened_provider, some_vector
from tests.support.chunk_rows import MemoryRows

pytestmark = pytest.mark.anyio

ENGINE = Engine("faiss", lambda directory, request: opened_provider("inline::faiss", directory))


@contextlib.asynccontextmanager
async def opened(directory: Path, rows: MemoryRows | None = None, **config: Any) -> AsyncIterator[Site]:
    async with opened_provider("inline::faiss", directory, **config) as provider:
        yield Site(ENGINE, provider, rows or MemoryRows(batch=1000))


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def cache(site: Site, index: Index) -> Any:
    """The index as it is held in memory."""
    assert isinstance(site.provider, Faiss)
    return site.provider._keeper._held.get(index.id)


def files(directory: Path) -> list[Path]:
    return sorted((directory / "indexes").glob("*"))


def some(count: int, **more: Any) -> list[IndexedChunk]:
    return [chunk(n, document=f"file-{n % 10}", attributes={"n": n}, **more) for n in range(count)]


# --- following the rows


async def test_rows_are_read_once_for_many_searches_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as site:
        index = await site.index()
        await site.insert(index, some(50))
        await asyncio.gather(*(site.nearest(index, some_vector(1)) for _ in range(20)))
        assert site.rows.reads == 1
        await site.nearest(index, some_vector(1))
        assert site.rows.reads == 1
        await site.insert(index, [chunk(99)])
        assert id_of(99) in await site.found(index)
        assert site.rows.reads == 2


async def test_whoever_leaves_stops_nobody_else(tmp_path: Path) -> None:
    async with opened(tmp_path, MemoryRows(batch=5)) as site:
        index = await site.index()
        await site.insert(index, some(500))
        first = asyncio.create_task(site.nearest(index, some_vector(1)))
        second = asyncio.create_task(site.found(index))
        await eventually(lambda: site.rows.reads)
        first.cancel()
        assert len(await second) == 500
        assert site.rows.reads == 1


async def test_what_is_no_longer_told_is_built_anew(tmp_path: Path) -> None:
    async with opened(tmp_path) as site:
        index = await site.index()
        await site.insert(index, some(30))
        assert len(await site.found(index)) == 30
        await site.delete_document(index, "file-1")
        await site.insert(index, [chunk(100)])
        site.rows.forget_changes(index)
        assert await site.found(index) == site.rows.matching(index)


class Failing(MemoryRows):
    fails = True

    async def since(self, index: Index, version: int) -> RowDelta:
        if self.fails:
            raise ConnectionError("the database is away")
        return await super().since(index, version)


async def test_rows_that_cannot_be_read_fail_the_search_and_not_the_next(tmp_path: Path) -> None:
    rows = Failing()
    async with opened(tmp_path, rows) as site:
        index = await site.index()
        await site.insert(index, some(5))
        failed = await asyncio.gather(*(site.found(index) for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in failed] == [ConnectionError] * 3
        rows.fails = False
        assert len(await site.found(index)) == 5


# --- files


async def test_a_file_saves_reading_the_rows_again(tmp_path: Path) -> None:
    async with opened(tmp_path, saved_chunks_min=10) as site:
        index = await site.index()
        await site.insert(index, some(400))
        await site.delete_document(index, "file-3")
        before = ids(await site.nearest(index, some_vector(7), 50))
    rows, read = site.rows, []
    since = rows.since

    async def watched(index: Index, version: int) -> RowDelta:
        read.append(version)
        return await since(index, version)

    rows.since = watched  # type: ignore[method-assign]
    rows.set_attributes(index, "file-5", {"n": "changed"})
    rows.delete_document(index, "file-4")
    rows.write(index, [chunk(1000), chunk(6, document="file-6", attributes={"n": -6})])
    async with opened(tmp_path, rows, saved_chunks_min=10) as site:
        assert await site.found(index) == rows.matching(index)
        assert read == [2]
        for wanted in ({"type": "eq", "key": "n", "value": "changed"}, {"type": "lt", "key": "n", "value": 0}):
            assert await site.found(index, filter_of(wanted)) == rows.matching(index, filter_of(wanted)) != set()
        kept = [each for each in before if each in rows.rows(index)]
        after = [each for each in ids(await site.nearest(index, some_vector(7), 60)) if each != id_of(1000)]
        assert [each for each in after if each in kept] == kept


@pytest.mark.parametrize("harm", ["short", "flipped", "foreign", "empty", "another's", "long"])
async def test_a_file_that_cannot_be_believed_is_ignored(tmp_path: Path, harm: str) -> None:
    async with opened(tmp_path, saved_chunks_min=10, flat_chunks_max=20) as site:
        index, other = await site.index(), await site.index()
        await site.insert(index, some(100))
        await site.insert(other, some(60))
        await site.found(index)
        await site.found(other)
    path, another = (tmp_path / "indexes" / f"{each.id}.vectors" for each in (index, other))
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "short": content[:-100],
            "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "foreign": b"something else",
            "empty": b"",
            "another's": another.read_bytes(),
            "long": content + b"x",
        }[harm]
    )
    async with opened(tmp_path, site.rows, saved_chunks_min=10, flat_chunks_max=20) as again:
        assert len(await again.found(index)) == 100
        assert len(await again.found(other)) == 60


async def test_rows_of_before_the_file_win(tmp_path: Path) -> None:
    """As after a database was restored from a backup."""
    async with opened(tmp_path, saved_chunks_min=10) as site:
        index = await site.index()
        await site.insert(index, some(50))
        await site.insert(index, [chunk(77)])
        await site.found(index)
    restored = MemoryRows()
    restored.write(index, some(40))
    async with opened(tmp_path, restored, saved_chunks_min=10) as again:
        assert await again.found(index) == {id_of(n) for n in range(40)}


async def test_files_are_bounded_and_go_with_their_index(tmp_path: Path) -> None:
    async with opened(tmp_path, saved_chunks_min=10, disk_bytes_max=20_000) as site:
        indexes = []
        for _ in range(3):
            indexes.append(await site.index())
            await site.insert(indexes[-1], some(100))
            await site.found(indexes[-1])
            await eventually(lambda: any(indexes[-1].id in path.name for path in files(tmp_path)))
            await eventually(lambda: not cache(site, indexes[-1]).is_busy)
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 20_000
        assert [path.stem for path in files(tmp_path)] == sorted(each.id for each in indexes[1:])
        await site.delete_index(indexes[2])
        assert [path.stem for path in files(tmp_path)] == [indexes[1].id]
        assert await site.found(indexes[2]) == set()


# --- memory


async def test_the_least_asked_index_leaves_when_memory_is_short(tmp_path: Path) -> None:
    async with opened(tmp_path, memory_bytes_max=1024**2) as site:
        indexes = [await site.index(256) for _ in range(3)]
        for index in indexes:
            await site.insert(index, [chunk(n, some_vector(n, 256)) for n in range(600)])
            assert len(await site.found(index)) == 600
        await eventually(lambda: cache(site, indexes[0]) is None and cache(site, indexes[1]) is None)
        assert cache(site, indexes[2]).nbytes > 600_000
        assert len(await site.found(indexes[0])) == 600
        await eventually(lambda: cache(site, indexes[2]) is None)


async def test_an_index_that_nobody_asks_leaves(tmp_path: Path) -> None:
    async with opened(tmp_path, idle_s=0.05, saved_chunks_min=10) as site:
        index = await site.index()
        await site.insert(index, some(50))
        assert len(await site.found(index)) == 50
        await eventually(lambda: cache(site, index) is None)
        assert len(await site.found(index)) == 50


# --- graphs


DIMENSION, COUNT = 48, 6000


def clustered() -> tuple[list[IndexedChunk], np.ndarray[Any, np.dtype[np.float32]]]:
    draw = np.random.default_rng(3)
    topics = draw.normal(size=(40, DIMENSION))
    of = draw.integers(0, 40, COUNT)
    vectors = (topics[of] + 0.5 * draw.normal(size=(COUNT, DIMENSION))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    chunks = [
        chunk(
            n,
            vectors[n].tolist(),
            document=f"file-{n // 5}",
            attributes={"topic": int(of[n]), "thousandth": n // 5 % 1000},
        )
        for n in range(COUNT)
    ]
    return chunks, vectors


async def test_a_graph_finds_what_is_nearest_with_any_filter(tmp_path: Path) -> None:
    chunks, vectors = clustered()
    filters: dict[str, tuple[Filter | None, Callable[[IndexedChunk], bool]]] = {
        "none": (None, lambda _: True),
        "half": (
            filter_of({"type": "lt", "key": "thousandth", "value": 500}),
            lambda each: float(each.attributes["thousandth"]) < 500,
        ),
        "a tenth": (
            filter_of({"type": "lt", "key": "thousandth", "value": 100}),
            lambda each: float(each.attributes["thousandth"]) < 100,
        ),
        "one in a thousand": (
            filter_of({"type": "eq", "key": "thousandth", "value": 3}),
            lambda each: each.attributes["thousandth"] == 3,
        ),
        "other topics than the query's": (
            filter_of({"type": "gte", "key": "topic", "value": 20}),
            lambda each: float(each.attributes["topic"]) >= 20,
        ),
    }
    async with opened(tmp_path, flat_chunks_max=500) as site:
        index = await site.index(DIMENSION)
        await site.insert(index, chunks[:4000])
        await site.nearest(index, vectors[0].tolist())
        await eventually(lambda: cache(site, index)._contents.graph)
        await site.insert(index, chunks[4000:])
        await site.delete_document(index, "file-0")
        for name, (wanted, keeps) in filters.items():
            kept = [n for n, each in enumerate(chunks) if keeps(each) and each.document != "file-0"]
            found = total = 0
            for asked in [n for n in range(5, COUNT, 150) if chunks[n].attributes["topic"] in range(20)]:
                order = sorted(kept, key=lambda n: -float(vectors[n] @ vectors[asked]))[:10]
                hits = await site.nearest(index, vectors[asked].tolist(), 10, wanted)
                assert len(hits) == min(10, len(kept))
                found += len({id_of(n) for n in order} & set(ids(hits)))
                total += len(order)
            assert found / total >= 0.95, name


async def test_a_graph_outlives_deletions_and_restarts(tmp_path: Path) -> None:
    chunks, vectors = clustered()
    async with opened(tmp_path, flat_chunks_max=500, saved_chunks_min=100) as site:
        index = await site.index(DIMENSION)
        await site.insert(index, chunks)
        await site.nearest(index, vectors[0].tolist())
        await eventually(lambda: cache(site, index)._contents.graph and not cache(site, index).is_busy)
        for number in range(0, COUNT // 5, 3):
            site.rows.delete_document(index, f"file-{number}")
        left = site.rows.matching(index)
        assert await site.found(index) == left
        await eventually(lambda: not cache(site, index).is_busy)
        contents = cache(site, index)._contents
        assert len(contents.table) == len(left)  # the dead have left
        assert contents.graph is not None
        assert await site.found(index) == left
    async with opened(tmp_path, site.rows, flat_chunks_max=500, saved_chunks_min=100) as again:
        assert await again.found(index) == left
        assert cache(again, index)._contents.graph is not None
        (best, *_) = await again.nearest(index, vectors[5].tolist(), 1)
        assert best.id == id_of(5)


# --- settings


def test_settings_of_other_servers_are_taken_with_a_notice() -> None:
    descriptor = Catalog(entry_points=tuple).find(Api.vector_io, "inline::faiss")
    config = checked_config(descriptor, {"persistence": {"namespace": "x", "backend": "kv"}, "kvstore": {}})
    assert isinstance(config, FaissConfig)
    notices = list(unknown_keys(descriptor, config))
    assert [notice.split(" ")[0] for notice in notices] == ["config.persistence", "config.kvstore"]
    assert all("has no effect" in notice for notice in notices)
