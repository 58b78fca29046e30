"""What has expired goes, and so does what a crash left; who uses a file is told first."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from llama_stack.agent.attachments import FileContent
from llama_stack.config.files import FilesConfig
from llama_stack.config.responses import AttachmentLimits
from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.services.files.contents import Contents
from llama_stack.services.files.port import AttachedFiles, LocalFiles
from llama_stack.services.files.service import FileService
from llama_stack.services.files.spool import Spool
from llama_stack.services.files.sweep import FileSweep
from llama_stack.services.uploads import UploadService
from llama_stack.storage.sql.blobs import BlobTable
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.files import FileTable
from llama_stack.storage.sql.open import open_sql
from llama_stack.storage.sql.tables import BLOBS, FILES
from llama_stack.storage.sql.uploads import UploadTable
from llama_stack_api.errors import InvalidRequest, NotFound, ProviderError
from llama_stack_api.files import ExpiresAfter, OpenAIFileObject, OpenAIFilePurpose
from llama_stack_api.openai.uploads import CreateUploadRequest
from llama_stack_api.ports.files import NewContent
from llama_stack_api.principal import Call, Principal
from tests.providers.files.places import opened
from tests.support.file_servers import contents
from tests.support.running import running

pytestmark = pytest.mark.anyio

ALICE = Principal(id="alice", tenant="acme")
CALL = Call(principal=ALICE)
HOUR_S = 3600.0
REQUEST_S = 600.0


class Site:
    """The services over a database and a provider, with a clock that is turned by hand."""

    def __init__(self, directory: Path, database: Database, provider: Any) -> None:
        self.now = 1_000_000.0
        self.directory = directory
        self.database = database
        self.provider = provider
        limits = FilesConfig()
        self.blobs = BlobTable(database, clock=self.clock)
        table, uploads = FileTable(database, clock=self.clock), UploadTable(database, clock=self.clock)
        self.contents = Contents({"localfs": provider}, self.blobs)
        self.files = FileService(table, self.contents, limits, clock=self.clock)
        self.uploads = UploadService(uploads, table, self.files, self.contents, clock=self.clock)
        self.sweep = FileSweep(self.files, uploads, self.blobs, self.contents, request_s=REQUEST_S)

    def clock(self) -> float:
        return self.now

    async def add(self, body: bytes, expires_s: int | None = None, filename: str = "a.txt") -> OpenAIFileObject:
        expires = None if expires_s is None else ExpiresAfter(seconds=expires_s)
        async with self.files.draft(
            stream(body), CALL, filename=filename, content_type="", purpose=OpenAIFilePurpose.USER_DATA
        ) as draft:
            return await self.files.add(draft, expires, CALL)

    async def rows(self) -> dict[str, str]:
        return {row[0]: row[1] for row in await self.database.read(sa.select(BLOBS.c.id, BLOBS.c.state))}

    def kept(self) -> list[bytes]:
        return contents(self.directory)


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@asynccontextmanager
async def site_in(directory: Path, database_path: Path | None = None) -> AsyncIterator[Site]:
    database = await open_sql(SqlSqliteBackend(db_path=database_path or directory / "sql.db"))
    try:
        async with opened("inline::localfs", directory / "state/providers/files/localfs") as provider:
            yield Site(directory, database, provider)
    finally:
        await database.close()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path) as site:
        yield site


async def test_expired_files_go(site: Site) -> None:
    file, other = await site.add(b"short", 3600), await site.add(b"long", 7200)
    assert await site.sweep(10) == 0
    site.now += HOUR_S
    with pytest.raises(NotFound):
        await site.files.get(file.id, CALL)
    assert site.kept() == [b"long", b"short"]
    assert await site.sweep(10) == 1
    assert site.kept() == [b"long"]
    assert (await site.files.get(other.id, CALL)).id == other.id


async def test_who_uses_a_file_is_told_while_it_is_there_and_when_it_is_gone(site: Site) -> None:
    """Whoever began to use it in between is told too."""
    told: list[tuple[str, str, str, bool]] = []

    class Uses:
        async def forget(self, principal: Principal, file_id: str) -> None:
            assert site.kept()
            told.append((principal.tenant, principal.id, file_id, await is_there(file_id)))

    async def is_there(file_id: str) -> bool:
        rows = await site.database.read(sa.select(FILES.c.id).where(FILES.c.id == file_id))
        return bool(rows)

    site.files.uses.append(Uses())
    deleted, expired = await site.add(b"x"), await site.add(b"y", 3600)
    await site.files.delete(deleted.id, CALL)
    site.now += HOUR_S
    await site.sweep(10)
    assert told == [("acme", "alice", file.id, there) for file in (deleted, expired) for there in (True, False)]
    assert site.kept() == []


async def test_expired_uploads_go_with_their_parts(site: Site) -> None:
    announced = CreateUploadRequest(filename="a", purpose=OpenAIFilePurpose.VISION, bytes=3, mime_type="text/plain")
    upload = await site.uploads.create(announced, CALL)
    async with site.uploads.part(upload.id, stream(b"abc"), CALL) as part:
        await site.uploads.add_part(part, CALL)
    site.now += HOUR_S
    with pytest.raises(InvalidRequest, match="expired"):
        async with site.uploads.part(upload.id, stream(b"abc"), CALL):
            pass
    await site.sweep(10)
    assert site.kept() == [b"abc"], "whoever began to complete it in time may finish"
    site.now += REQUEST_S
    await site.sweep(10)
    site.now += 60
    await site.sweep(10)
    assert (site.kept(), await site.rows()) == ([], {})


async def test_a_crash_between_the_content_and_its_row(site: Site) -> None:
    """The very state that a process leaves that is killed there: row, content, no file."""
    await site.blobs.begin("blob-1", "acme", "localfs")
    await site.provider.write_content(NewContent("blob-1", "acme", "a.txt", "vision"), stream(b"orphan"), CALL)
    whole = await site.add(b"whole")
    site.now += REQUEST_S
    await site.sweep(10)
    assert site.kept() == [b"orphan", b"whole"], "it may still be on its way"
    site.now += 61
    await site.sweep(10)
    assert site.kept() == [b"whole"]
    assert list((await site.rows()).values()) == ["kept"]
    assert (await site.files.get(whole.id, CALL)).bytes == 5


async def test_a_crash_between_the_row_and_its_content(site: Site) -> None:
    await site.add(b"gone")
    ((blob_id, key),) = await site.database.read(sa.select(BLOBS.c.id, BLOBS.c.key))
    await site.database.write(
        (site.database.prepare(sa.update(BLOBS).values(state="dropped", touched_at=site.now)), {})
    )
    site.now += 61
    await site.sweep(10)
    assert (site.kept(), await site.rows()) == ([], {})
    with pytest.raises(NotFound):
        [piece async for piece in site.provider.read_content(key, CALL)]
    assert blob_id.startswith("blob-")


async def test_a_provider_that_cannot_delete_is_asked_again(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        failures = 2

        async def delete_content(self, key: str, call: Call) -> None:
            if self.failures:
                self.failures -= 1
                raise ProviderError("away")
            await site.provider.delete_content(key, call)

        write_content = site.provider.write_content
        read_content = site.provider.read_content

    site.contents._providers = {"localfs": Failing()}
    file = await site.add(b"x")
    assert (await site.files.delete(file.id, CALL)).deleted, "for the client it is gone"
    site.now += 61
    await site.sweep(10)
    assert list((await site.rows()).values()) == ["dropped"]
    await site.sweep(10)
    assert Failing.failures == 2
    site.now += 61
    await site.sweep(10)
    assert (site.kept(), await site.rows()) == ([], {})
    assert "away" in caplog.text


async def test_a_server_killed_in_the_middle_of_an_upload(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(
        f"""
version: 2
distro_name: t
providers:
  files:
  - provider_id: localfs
    provider_type: inline::localfs
    config: {{storage_dir: {tmp_path}/state/providers/files/localfs/contents}}
storage:
  backends:
    sql_default: {{type: sql_sqlite, db_path: {tmp_path}/sql.db}}
    kv_default: {{type: kv_sqlite, db_path: {tmp_path}/kv.db}}
"""
    )

    with running(str(config), "--port", "0", home=tmp_path) as server:

        def body() -> Any:
            yield b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nvision\r\n'
            yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
            while True:
                yield b"x" * 1_000_000
                if sum(map(len, contents(tmp_path))) > 3_000_000:
                    server.process.send_signal(signal.SIGKILL)
                    server.process.wait()

        headers = {"content-type": "multipart/form-data; boundary=b"}
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{server.url}/v1/files", content=body(), headers=headers, timeout=30, trust_env=False)
    async with site_in(tmp_path, tmp_path / "sql.db") as site:
        assert list((await site.rows()).values()) == ["writing"]
        site.now = 4_000_000_000.0
        await site.sweep(10)
        assert await site.rows() == {}
        assert site.kept() == []


async def test_the_agent_gets_files_whole_within_its_limit(site: Site) -> None:
    files = AttachedFiles(site.files, AttachmentLimits(file_bytes_max=10, image_bytes_max=5))
    small, large = await site.add(b"0123456789", filename="a.pdf"), await site.add(b"01234567890")
    assert await files.content(ALICE, small.id) == FileContent(b"0123456789", "a.pdf", "application/pdf")
    with pytest.raises(InvalidRequest, match=r"server\.responses\.attachments\.file_bytes_max"):
        await files.content(ALICE, large.id)
    with pytest.raises(NotFound):
        await files.content(Principal(id="bob", tenant="acme"), small.id)


async def test_ingestion_gets_files_on_the_local_disk(site: Site) -> None:
    directory = site.directory / "copies"
    files = LocalFiles(site.files, Spool(directory))
    body = bytes(range(256)) * 20_000
    file = await site.add(body, filename="../a.txt")
    async with await files.open_local(ALICE, file.id) as source:
        assert source.path.parent == directory
        assert source.path.read_bytes() == body
        assert (source.filename, source.content_type) == ("../a.txt", "text/plain")
    assert list(directory.iterdir()) == []
    with pytest.raises(NotFound):
        await files.open_local(Principal(id="alice", tenant="umbrella"), file.id)


async def test_copies_of_crashed_processes_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "crashed.tmp").write_bytes(b"x")
    async with Spool(tmp_path).copy(stream(b"abc")) as path:
        await Spool(tmp_path).tidy()
        assert [each.name for each in tmp_path.iterdir()] == [path.name]
        assert path.read_bytes() == b"abc"
