"""What is particular to `inline::sqlite-vec`: its file."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from llama_stack_api.ports.vector_io import Index
from tests.providers.vector_io.suite import (
    Engine,
    Site,
    chunk,
    filter_of,
    id_of,
    ids,
    opened_provider,
    some_vector,
)

pytestmark = pytest.mark.anyio

TYPE = "inline::sqlite-vec"
ENGINE = Engine("sqlite-vec", lambda directory, request: opened_provider(TYPE, directory))


async def test_the_file_keeps_everything_and_is_its_owners_alone(tmp_path: Path) -> None:
    async with opened_provider(TYPE, tmp_path) as provider:
        site = Site(ENGINE, provider)
        index = await site.index()
        await site.insert(index, [chunk(n, words=f"word{n} all", attributes={"n": n}) for n in range(20)])
    assert (tmp_path / "sqlite_vec.db").stat().st_mode & 0o777 == 0o600
    async with opened_provider(TYPE, tmp_path) as provider:
        again = Site(ENGINE, provider, site.rows)
        assert await again.found(index, filter_of({"type": "lt", "key": "n", "value": 5})) == {
            id_of(n) for n in range(5)
        }
        assert ids(await again.with_words(index, "word7")) == [id_of(7)]


async def test_two_servers_on_one_file(tmp_path: Path) -> None:
    path = str(tmp_path / "shared.db")
    async with (
        opened_provider(TYPE, tmp_path, db_path=path) as one,
        opened_provider(TYPE, tmp_path, db_path=path) as two,
    ):
        first = Site(ENGINE, one)
        second = Site(ENGINE, two, first.rows)
        index = await first.index()
        await asyncio.gather(
            *(
                site.insert(index, [chunk(n * 2 + place)])
                for n in range(40)
                for place, site in enumerate((first, second))
            )
        )
        assert await first.found(index) == await second.found(index) == {id_of(n) for n in range(80)}


async def test_nothing_is_left_of_what_is_gone(tmp_path: Path) -> None:
    async with opened_provider(TYPE, tmp_path) as provider:
        site = Site(ENGINE, provider)
        index, other = await site.index(), await site.index()
        await site.insert(index, [chunk(n, document=f"file-{n}", attributes={"n": n}) for n in range(9)])
        await site.insert(other, [chunk(1, attributes={"a": "x"})])
        await site.set_attributes(index, "file-1", {"n": "new"})
        await site.delete_document(index, "file-2")
        await site.insert(index, [chunk(3, document="file-3", attributes={"n": 33})])
        await provider.delete_index(other)
    file = sqlite3.connect(tmp_path / "sqlite_vec.db")
    try:
        (sets,) = file.execute("SELECT count(*) FROM sets").fetchone()
        (values,) = file.execute("SELECT count(*) FROM attributes").fetchone()
        (chunks,) = file.execute("SELECT count(*) FROM chunks").fetchone()
        tables = [row[0] for row in file.execute("SELECT name FROM sqlite_master WHERE name LIKE '%\\_2%' ESCAPE '\\'")]
    finally:
        file.close()
    assert (sets, values, chunks, tables) == (8, 8, 8, [])


async def test_more_neighbours_than_the_extension_gives(tmp_path: Path) -> None:
    async with opened_provider(TYPE, tmp_path) as provider:
        site = Site(ENGINE, provider)
        index = await site.index()
        await site.insert(index, [chunk(n) for n in range(4500)])
        assert len(await site.found(index)) == 4500


async def test_a_vector_of_another_dimension_is_refused(tmp_path: Path) -> None:
    async with opened_provider(TYPE, tmp_path) as provider:
        site = Site(ENGINE, provider)
        index = await site.index()
        with pytest.raises(Exception, match="has 4 numbers; the vectors of this store have 8"):
            await site.insert(index, [chunk(1), chunk(2, [1, 2, 3, 4])])
        assert await site.found(index) == set()
        with pytest.raises(Exception, match="has 4 numbers"):
            await site.nearest(index, [1, 2, 3, 4])


async def test_a_file_of_a_later_version_is_not_touched(tmp_path: Path) -> None:
    file = sqlite3.connect(tmp_path / "sqlite_vec.db")
    file.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(RuntimeError, match="is of another version"):
        async with opened_provider(TYPE, tmp_path):
            pass


async def test_the_index_is_unknown_to_words_too(tmp_path: Path) -> None:
    async with opened_provider(TYPE, tmp_path) as provider:
        site = Site(ENGINE, provider)
        nobody = Index("vs_nobody", 8)
        assert await site.with_words(nobody, "word") == []
        assert await site.nearest(nobody, some_vector(1)) == []
