"""Files, their contents and uploads, over every SQL backend."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from llama_stack.config.files import FilesConfig
from llama_stack.storage.sql.blobs import Blob, BlobTable
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.files import FileRecord, FileTable
from llama_stack.storage.sql.tables import BLOBS, UPLOAD_PARTS, UPLOADS
from llama_stack.storage.sql.uploads import PartRecord, UploadRecord, UploadTable
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound
from llama_stack_api.ports.files import KeptContent
from llama_stack_api.principal import Principal

pytestmark = pytest.mark.anyio

ALICE = Principal(id="alice", tenant="acme")
BOB = Principal(id="bob", tenant="acme")
OTHER_ALICE = Principal(id="alice", tenant="umbrella")
DAY_S = 24 * 3600.0


class Store:
    """All three tables over one clock that is turned by hand."""

    def __init__(self, database: Database, limits: FilesConfig | None = None) -> None:
        self.now = 1_000_000.0
        self.database = database
        self.blobs = BlobTable(database, clock=lambda: self.now)
        self.files = FileTable(database, limits=limits, clock=lambda: self.now)
        self.uploads = UploadTable(database, limits=limits, clock=lambda: self.now)
        self._numbers = itertools.count()

    def file(self, owner: Principal, blob: str, **changes: object) -> FileRecord:
        number = next(self._numbers)
        record = FileRecord(
            id=f"file-{number}",
            tenant=owner.tenant,
            owner=owner.id,
            created_at=self.now,
            expires_at=None,
            filename=f"ü{number}.txt",
            purpose="assistants",
            content_type="text/plain",
            bytes=10,
            blob=blob,
        )
        return replace(record, **changes)  # type: ignore[arg-type]

    async def blob(self, owner: Principal = ALICE) -> str:
        blob_id = f"blob-{next(self._numbers)}"
        await self.blobs.begin(blob_id, owner.tenant, "localfs")
        return blob_id

    async def add(self, owner: Principal = ALICE, **changes: object) -> FileRecord:
        file = self.file(owner, await self.blob(owner), **changes)
        await self.files.add(file, content(file.blob, file.bytes))
        return file

    async def upload(self, owner: Principal = ALICE, size: int = 20) -> UploadRecord:
        upload = UploadRecord(
            id=f"upload_{next(self._numbers)}",
            tenant=owner.tenant,
            owner=owner.id,
            created_at=self.now,
            expires_at=self.now + 3600,
            filename="big.bin",
            purpose="assistants",
            mime_type="text/plain",
            bytes=size,
            file_expires_after_s=None,
        )
        await self.uploads.create(upload)
        return upload

    async def part(self, upload: UploadRecord, owner: Principal = ALICE, size: int = 10) -> PartRecord:
        part = PartRecord(f"part_{next(self._numbers)}", upload.id, self.now, size, await self.blob(owner))
        await self.uploads.add_part(owner, part, content(part.blob, size))
        return part

    async def states(self) -> dict[str, str]:
        rows = await self.database.read(sa.select(BLOBS.c.id, BLOBS.c.state))
        return {row[0]: row[1] for row in rows}


def content(blob: str, size: int = 10) -> KeptContent:
    return KeptContent(key=f"key-of-{blob}", size=size, sha256="0" * 64)


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


def ids(blobs: Sequence[Blob]) -> set[str]:
    return {blob.id for blob in blobs}


async def test_a_file_and_its_content(store: Store) -> None:
    file = await store.add(filename="Grüße 🦙/../x", bytes=2**40)
    assert await store.files.get(ALICE, file.id) == file
    found, blob = await store.files.content(ALICE, file.id)
    assert found == file
    assert blob == Blob(file.blob, "acme", "localfs", f"key-of-{file.blob}", 2**40, "0" * 64)
    assert await store.states() == {file.blob: "kept"}
    assert await store.files.filenames(ALICE, [file.id, "file-none"]) == {file.id: "Grüße 🦙/../x"}


@pytest.mark.parametrize("other", [BOB, OTHER_ALICE])
async def test_for_anyone_else_there_is_no_file(store: Store, other: Principal) -> None:
    file = await store.add()
    for asking in (store.files.get, store.files.content, store.files.delete):
        with pytest.raises(NotFound):
            await asking(other, file.id)
    assert (await store.files.list(other, limit=10)).items == []
    assert await store.files.filenames(other, [file.id]) == {}
    with pytest.raises(InvalidRequest, match="no file"):
        await store.files.list(other, limit=10, after=file.id)
    assert await store.files.get(ALICE, file.id) == file


@pytest.mark.parametrize("file_id", ["", "file-x", "file-\0", "fïle", "x" * 10_000])
async def test_unknown_files(store: Store, file_id: str) -> None:
    with pytest.raises(NotFound):
        await store.files.get(ALICE, file_id)


async def test_pages(store: Store) -> None:
    files = []
    for number in range(7):
        store.now += number % 2  # some at the same time
        files.append(await store.add(purpose="vision" if number % 3 == 0 else "batch"))
    await store.add(BOB)
    newest_first = sorted(files, key=lambda file: (file.created_at, file.id), reverse=True)
    seen: list[FileRecord] = []
    after = None
    while True:
        page = await store.files.list(ALICE, limit=3, after=after)
        seen += page.items
        if not page.has_more:
            break
        after = page.items[-1].id
    assert seen == newest_first
    assert (await store.files.list(ALICE, limit=7, order="asc")).items == newest_first[::-1]
    visions = await store.files.list(ALICE, limit=10, purpose="vision")
    assert visions.items == [file for file in newest_first if file.purpose == "vision"]


async def test_what_is_expired_is_not_there(store: Store) -> None:
    file = await store.add(expires_at=store.now + 3600)
    kept = await store.add()
    store.now += 3599
    assert await store.files.get(ALICE, file.id) == file
    assert await store.files.expired(10) == []
    store.now += 1
    for asking in (store.files.get, store.files.content):
        with pytest.raises(NotFound):
            await asking(ALICE, file.id)
    assert (await store.files.list(ALICE, limit=10)).items == [kept]
    assert await store.files.expired(10) == [file]
    assert (await store.files.delete(ALICE, file.id)).id == file.blob
    assert await store.files.expired(10) == []


async def test_deletion_drops_the_content(store: Store) -> None:
    file, other = await store.add(), await store.add()
    dropped = await store.files.delete(ALICE, file.id)
    assert (dropped.id, dropped.key) == (file.blob, f"key-of-{file.blob}")
    assert await store.states() == {file.blob: "dropped", other.blob: "kept"}
    with pytest.raises(NotFound):
        await store.files.delete(ALICE, file.id)
    await store.blobs.forget(file.blob)
    await store.blobs.forget(other.blob)  # not dropped, so it stays
    assert await store.states() == {other.blob: "kept"}


async def test_of_a_crash_the_sweep_finds_what_is_left(store: Store) -> None:
    silent, alive, kept = await store.blob(), await store.blob(), await store.add()
    dropped = await store.add()
    await store.files.delete(ALICE, dropped.id)
    store.now += 50
    await store.blobs.touch(alive)
    store.now += 60
    found = await store.blobs.unfinished(silent_s=100, retry_s=100, limit=10)
    assert ids(found) == {silent, dropped.blob}
    assert {blob.id: blob.key for blob in found} == {silent: None, dropped.blob: f"key-of-{dropped.blob}"}
    assert await store.blobs.unfinished(silent_s=100, retry_s=100, limit=10) == [], "not again at once"
    store.now += 100
    assert ids(await store.blobs.unfinished(silent_s=1000, retry_s=100, limit=10)) == {silent, dropped.blob}
    assert (await store.states())[kept.blob] == "kept"


async def test_a_writer_that_was_given_up_cannot_commit(store: Store) -> None:
    blob = await store.blob()
    store.now += 1000
    assert ids(await store.blobs.unfinished(silent_s=100, retry_s=100, limit=10)) == {blob}
    file = store.file(ALICE, blob)
    with pytest.raises(Conflict, match="gave it up"):
        await store.files.add(file, content(blob))
    with pytest.raises(NotFound):
        await store.files.get(ALICE, file.id)
    assert not await store.blobs.abandon(blob, None)


async def test_what_is_kept_is_not_abandoned(store: Store) -> None:
    file = await store.add()
    assert not await store.blobs.abandon(file.blob, "key")
    writing = await store.blob()
    assert await store.blobs.abandon(writing, "key")
    assert await store.states() == {file.blob: "kept", writing: "dropped"}


async def test_limits_of_an_owner(database: Database) -> None:
    store = Store(database, FilesConfig(files_max=3, bytes_total_max=100))
    await store.add(bytes=60)
    with pytest.raises(InvalidRequest, match=r"server\.files\.bytes_total_max"):
        await store.add(bytes=41)
    await store.add(bytes=40)
    await store.add(bytes=0)
    with pytest.raises(InvalidRequest, match=r"server\.files\.files_max"):
        await store.add(bytes=0)
    await store.add(BOB, bytes=100)
    assert list((await store.states()).values()).count("kept") == 4


async def test_an_upload_becomes_a_file_in_one_step(store: Store) -> None:
    upload = await store.upload()
    first, second, unused = [await store.part(upload) for _ in range(3)]
    assert ids(list((await store.uploads.parts(upload.id)).values())) == {first.blob, second.blob, unused.blob}
    file = store.file(ALICE, await store.blob(), bytes=20)
    dropped = await store.uploads.complete(ALICE, upload.id, file, content(file.blob, 20))
    assert dropped is not None
    assert ids(dropped) == {first.blob, second.blob, unused.blob}
    done = await store.uploads.get(ALICE, upload.id)
    assert (done.status, done.file) == ("completed", file.id)
    assert await store.files.get(ALICE, file.id) == file
    assert await store.uploads.parts(upload.id) == {}
    again = store.file(ALICE, await store.blob(), bytes=20)
    assert await store.uploads.complete(ALICE, upload.id, again, content(again.blob, 20)) is None
    assert (await store.states())[again.blob] == "writing"
    assert await store.uploads.cancel(ALICE, upload.id) is None
    with pytest.raises(InvalidRequest, match="no more parts"):
        await store.part(upload)


async def test_of_completions_at_the_same_time_one_wins(store: Store) -> None:
    upload = await store.upload()
    await store.part(upload)
    files = [store.file(ALICE, await store.blob(), bytes=10) for _ in range(4)]
    results = await asyncio.gather(
        *(store.uploads.complete(ALICE, upload.id, file, content(file.blob)) for file in files)
    )
    assert sum(result is not None for result in results) == 1
    (kept,) = (await store.files.list(ALICE, limit=10)).items
    assert (await store.uploads.get(ALICE, upload.id)).file == kept.id


async def test_cancelled_uploads(store: Store) -> None:
    upload = await store.upload()
    part = await store.part(upload)
    cancelled = await store.uploads.cancel(ALICE, upload.id)
    assert cancelled is not None
    assert cancelled[0] == replace(upload, status="cancelled")
    assert ids(cancelled[1]) == {part.blob}
    file = store.file(ALICE, await store.blob())
    assert await store.uploads.complete(ALICE, upload.id, file, content(file.blob)) is None
    assert (await store.files.list(ALICE, limit=1)).items == []


@pytest.mark.parametrize("other", [BOB, OTHER_ALICE])
async def test_for_anyone_else_there_is_no_upload(store: Store, other: Principal) -> None:
    upload = await store.upload()
    part = await store.part(upload)
    with pytest.raises(NotFound):
        await store.uploads.get(other, upload.id)
    with pytest.raises(InvalidRequest):
        await store.part(upload, other)
    assert await store.uploads.cancel(other, upload.id) is None
    file = store.file(other, await store.blob(other))
    assert await store.uploads.complete(other, upload.id, file, content(file.blob)) is None
    assert (await store.uploads.get(ALICE, upload.id)).status == "pending"
    assert list(await store.uploads.parts(upload.id)) == [part.id]


async def test_uploads_expire(store: Store) -> None:
    upload, later = await store.upload(), await store.upload()
    part = await store.part(upload)
    store.now += 3600
    assert (await store.uploads.get(ALICE, upload.id)).status == "expired"
    with pytest.raises(InvalidRequest):
        await store.part(upload)
    assert await store.uploads.expire_due(10, grace_s=600) == 0
    store.now += 600
    assert await store.uploads.expire_due(1, grace_s=600) == 1
    assert await store.uploads.expire_due(10, grace_s=600) == 1
    assert (await store.uploads.get(ALICE, later.id)).status == "expired"
    assert (await store.states())[part.blob] == "dropped"
    assert await store.database.read(sa.select(UPLOAD_PARTS)) == []
    store.now += DAY_S
    await store.uploads.expire_due(10, grace_s=600)
    assert await store.database.read(sa.select(UPLOADS)) == []


async def test_limits_of_uploads(database: Database) -> None:
    store = Store(database, FilesConfig(uploads_max=2, parts_max=2, upload_bytes_max=25, bytes_total_max=60))
    upload, other = await store.upload(), await store.upload()
    with pytest.raises(InvalidRequest, match=r"server\.files\.uploads_max"):
        await store.upload()
    await store.upload(BOB)
    await store.part(upload)
    with pytest.raises(InvalidRequest, match=r"server\.files\.upload_bytes_max"):
        await store.part(upload, size=16)
    await store.part(upload, size=15)
    with pytest.raises(InvalidRequest, match=r"server\.files\.parts_max"):
        await store.part(upload, size=0)
    await store.add(bytes=30)
    with pytest.raises(InvalidRequest, match=r"server\.files\.bytes_total_max"):
        await store.part(other, size=6)
    await store.part(other, size=5)
    file = store.file(ALICE, await store.blob(), bytes=25)
    done = await store.uploads.complete(ALICE, upload.id, file, content(file.blob, 25))
    assert done is not None, "the parts were counted when they came"
