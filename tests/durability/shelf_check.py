"""What must hold of files and vector stores whatever was killed under them, read behind the server's back."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from openai import AsyncOpenAI

from tests.durability.corpus import POISON, Corpus
from tests.durability.shelf import Shelf

SEEN = "chunk_set IN (SELECT number FROM ls_chunk_sets WHERE removed_at IS NULL)"
"""Of chunks: they count. The others go in slices, when nobody else has anything to do."""
LEFT_OVER_S = 20.0
"""Within which what is left over must go."""


_OF_STATUS = "files_{0} <> (SELECT count(*) FROM ls_vector_store_files AS f WHERE f.store = s.id AND f.status = '{0}')"
_WORDS = f"ls_chunk_words AS w JOIN ls_chunks AS c ON c.number = w.number WHERE c.store = s.id AND c.{SEEN}"
_WRONG_COUNTERS = (
    f"SELECT s.id FROM ls_vector_stores AS s WHERE s.state = 'live' AND ({_OF_STATUS.format('completed')} "
    f"OR {_OF_STATUS.format('in_progress')} OR {_OF_STATUS.format('failed')} OR {_OF_STATUS.format('cancelled')} "
    "OR usage_bytes <> (SELECT coalesce(sum(usage_bytes), 0) FROM ls_vector_store_files AS f WHERE f.store = s.id) "
    f"OR chunks <> (SELECT count(*) FROM {_WORDS}) OR words <> (SELECT coalesce(sum(w.length), 0) FROM {_WORDS}))"
)


async def check_ingested(
    shelf: Shelf, client: AsyncOpenAI, store_id: str, corpus: Corpus, files: dict[str, str]
) -> None:
    """The store holds what it would hold if nothing had been killed. `files` are ids by filename."""
    store = await client.vector_stores.retrieve(store_id)
    counts = store.file_counts
    assert (counts.completed, counts.failed, counts.total) == (len(corpus.texts), 1, len(files))
    attached = {file.id: file async for file in client.vector_stores.files.list(store_id, limit=100)}
    assert attached.keys() == set(files.values())
    ids: set[str] = set()
    usage = 0
    for name, file_id in files.items():
        file = attached[file_id]
        found = await shelf.rows(
            f"SELECT id, ordinal, text FROM ls_chunks WHERE store = '{store_id}' AND document = '{file_id}' "
            f"AND {SEEN} ORDER BY ordinal"
        )
        if name == POISON:
            assert (file.status, found) == ("failed", [])
            assert file.last_error is not None
            assert file.last_error.code == "invalid_file"
            continue
        assert (file.status, file.last_error) == ("completed", None)
        assert [row[1:] for row in found] == list(enumerate(corpus.chunks(name))), name
        ids |= {row[0] for row in found}
        usage += file.usage_bytes
    assert await shelf.indexed(store_id) == sorted(ids), "the index has what the rows have"
    assert store.usage_bytes == usage > 0
    await _check_search(client, store_id, corpus, files)


async def _check_search(client: AsyncOpenAI, store_id: str, corpus: Corpus, files: dict[str, str]) -> None:
    for name in corpus.texts:
        text = corpus.chunks(name)[-1]
        for mode in ("vector", "keyword"):
            page = await client.vector_stores.search(store_id, query=text, extra_body={"search_mode": mode})
            best = [(hit.file_id, hit.content[0].text) for hit in page.data[:4]]
            assert (files[name], text) in best, (name, mode)


async def check_nothing_is_left_over(shelf: Shelf, *, swept: bool = False) -> None:
    """Whatever nobody can ask for any more is gone, or goes within a moment. `swept`: the rows of removed chunks too,
    as after a start."""
    deadline = time.monotonic() + LEFT_OVER_S
    while left := await left_over(shelf, swept=swept):
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.1)


async def left_over(shelf: Shelf, *, swept: bool) -> dict[str, object]:
    """By what it is; only what there is."""
    contents, unfinished = _on_disk(shelf.directory / "contents")
    kept = sorted(row[0] for row in await shelf.rows("SELECT id FROM ls_blobs WHERE state = 'kept'"))
    queries = {
        "contents that are not kept": "SELECT id, state FROM ls_blobs WHERE state <> 'kept'",
        "contents of nobody": "SELECT id FROM ls_blobs WHERE id NOT IN (SELECT blob FROM ls_files) "
        "AND id NOT IN (SELECT blob FROM ls_upload_parts)",
        "files without contents": "SELECT id FROM ls_files WHERE blob NOT IN (SELECT id FROM ls_blobs)",
        "deleted stores": "SELECT id FROM ls_vector_stores WHERE state <> 'live'",
        "chunks of no store": "SELECT DISTINCT store FROM ls_chunks WHERE store NOT IN (SELECT id FROM "
        "ls_vector_stores)",
        "chunks of no file": f"SELECT DISTINCT store, document FROM ls_chunks WHERE {SEEN} AND NOT EXISTS (SELECT 1 "
        "FROM ls_vector_store_files AS f WHERE f.store = ls_chunks.store AND f.file = ls_chunks.document)",
        "chunks of no set": "SELECT number FROM ls_chunks WHERE chunk_set NOT IN (SELECT number FROM ls_chunk_sets)",
        "sets of no store": "SELECT number FROM ls_chunk_sets WHERE store NOT IN (SELECT id FROM ls_vector_stores)",
        "chunks twice": f"SELECT store, document, ordinal FROM ls_chunks WHERE {SEEN} GROUP BY 1, 2, 3 "
        "HAVING count(*) > 1",
        "words of no chunk": "SELECT number FROM ls_chunk_words WHERE number NOT IN (SELECT number FROM ls_chunks)",
        "pending changes": "SELECT store, version, document FROM ls_vector_store_changes WHERE pending",
        "files in progress": "SELECT store, file FROM ls_vector_store_files WHERE status = 'in_progress'",
        "runs": "SELECT id, status FROM ls_runs WHERE status IN ('queued', 'running')",
        "wrong counters": _WRONG_COUNTERS,
    }
    if swept:
        queries["removed chunks"] = "SELECT number, store, document FROM ls_chunk_sets WHERE removed_at IS NOT NULL"
    found: dict[str, object] = {what: await shelf.rows(query) for what, query in queries.items()}
    found["contents on disk of no row, or rows without"] = sorted(set(contents) ^ set(kept))
    found["unfinished files"] = unfinished
    found["copies"] = [path.name for path in (shelf.state / "local-copies").glob("*")]
    return {what: rows for what, rows in found.items() if rows}


async def check_indexes(shelf: Shelf) -> None:
    """Of every store, the provider has the chunks that the rows are."""
    for (store_id,) in await shelf.rows("SELECT id FROM ls_vector_stores WHERE state = 'live'"):
        rows = await shelf.rows(f"SELECT id FROM ls_chunks WHERE store = '{store_id}' AND {SEEN}")
        kept, indexed = {row[0] for row in rows}, await shelf.indexed(store_id)
        assert (kept - set(indexed), set(indexed) - kept, len(indexed)) == (set(), set(), len(kept)), store_id


def _on_disk(directory: Path) -> tuple[list[str], list[str]]:
    """The ids of the contents that are kept, and the names of what is not finished or of no content."""
    contents = [path.name.partition(".")[0] for path in directory.glob("*/contents/*/*")]
    unfinished = [path.name for path in (directory / "unfinished").glob("*")]
    unused = [path.name for path in directory.glob("*/objects/*/*") if path.stat().st_nlink == 1]
    return contents, unfinished + unused
