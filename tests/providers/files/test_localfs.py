"""The directory: what is in it, who may read it, and what a crash or a full disk leaves."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from llama_stack.providers._shared.content_directory import ContentDirectory, ContentWriter
from llama_stack_api.errors import NotFound, Overloaded, ProviderError
from llama_stack_api.provider import HealthStatus
from tests.providers.files.places import CALL, Place, files_in, localfs, new, opened

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
DYING = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.providers.files.places import CALL, localfs, new

async def body():
    for _ in range(3):
        yield b"x" * 1_500_000
    print("written", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with localfs(Path(sys.argv[1])) as place:
        await place.provider.write_content(new(), body(), CALL)

asyncio.run(main())
"""
DYING_AFTER_ITS_LINKS = """
import os, sys
from pathlib import Path
from llama_stack.providers._shared.content_directory import ContentDirectory, ContentWriter

directory = ContentDirectory(Path(sys.argv[1]) / "contents")
directory.open()
writer = ContentWriter(directory, "t", "file-1")
writer.open()
writer.write(b"the whole")
print(writer.publish(), flush=True)
os._exit(9)
"""


COMING_AND_GOING = """
import asyncio, sys
from pathlib import Path
from tests.providers.files.places import CALL, localfs

async def main():
    async with localfs(Path(sys.argv[1])) as place:
        for _ in range(150):
            kept = await place.put(b"the same in all")
            assert await place.get(kept.key) == b"the same in all"
            await place.provider.delete_content(kept.key, CALL)

asyncio.run(main())
"""


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with localfs(tmp_path) as place:
        yield place


def ran(program: str, directory: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", program, str(directory)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_equal_contents_of_a_tenant_are_one_file(place: Place, tmp_path: Path) -> None:
    kept = [await place.put(b"same") for _ in range(3)] + [await place.put(b"same", tenant="other")]
    inodes = {(tmp_path / name).stat().st_ino for name in place.left()}
    assert len(inodes) == 2
    assert len(place.left()) == 6  # a name for each id, and one by the digest for each tenant
    for one in kept:
        await place.provider.delete_content(one.key, CALL)
    assert place.left() == []


async def test_files_and_directories_are_private(place: Place, tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        await place.put(b"secret", filename="../../passwd")
    finally:
        os.umask(mask)
    for path in tmp_path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert not any("passwd" in str(path) for path in tmp_path.rglob("*"))


async def test_a_process_that_dies_before_its_links_leaves_nothing(tmp_path: Path) -> None:
    assert ran(DYING, tmp_path).returncode == -9
    (unfinished,) = files_in(tmp_path)
    assert unfinished.startswith("contents/unfinished/")
    assert (tmp_path / unfinished).stat().st_size >= MIB
    async with localfs(tmp_path) as place:
        assert place.left() == []


async def test_a_process_that_dies_after_its_links_leaves_what_can_be_discarded(tmp_path: Path) -> None:
    died = ran(DYING_AFTER_ITS_LINKS, tmp_path)
    assert (died.returncode, died.stderr) == (9, "")
    async with localfs(tmp_path) as place:
        assert await place.get(died.stdout.strip()) == b"the whole"
        assert not any("unfinished" in name for name in place.left())
        await place.provider.discard_content("t", "file-1", CALL)
        assert place.left() == []


async def test_what_another_process_is_writing_is_left_to_it(tmp_path: Path) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"a" * MIB
        reached.set()
        await go_on.wait()
        yield b"b"

    async with localfs(tmp_path) as first:
        writing = asyncio.create_task(first.send(body()))
        await reached.wait()
        async with localfs(tmp_path) as second:
            assert len(second.left()) == 1
            go_on.set()
            kept = await writing
            assert await second.get(kept.key, MIB - 1) == b"ab"


async def test_processes_that_write_and_delete_one_content_at_once(tmp_path: Path) -> None:
    ended = await asyncio.gather(*(asyncio.to_thread(ran, COMING_AND_GOING, tmp_path) for _ in range(3)))
    assert [(process.returncode, process.stderr) for process in ended] == [(0, "")] * 3
    assert files_in(tmp_path) == []


async def test_an_id_that_is_taken_is_an_error_and_keeps_its_content(place: Place) -> None:
    kept = await place.put(b"same", id="file-1")
    with pytest.raises(ProviderError, match="file exists"):
        await place.put(b"same", id="file-1")
    assert await place.get(kept.key) == b"same"


async def test_a_file_system_without_hard_links(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: object, target: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    kept = [await place.put(b"same") for _ in range(3)]
    assert len({(tmp_path / name).stat().st_ino for name in place.left()}) == len(place.left()) == 3
    await place.provider.delete_content(kept[0].key, CALL)
    await place.provider.discard_content("t", kept[1].key.partition("/")[2].partition(".")[0], CALL)
    assert await place.get(kept[2].key) == b"same"
    assert len(place.left()) == 1


async def test_the_name_by_digest_may_vanish_under_an_id(place: Place, tmp_path: Path) -> None:
    """What a deletion does that counted the links just before another id got its own."""
    one = await place.put(b"same")
    (shared,) = (tmp_path / name for name in place.left() if "/objects/" in name)
    shared.unlink()
    two = await place.put(b"same")
    assert await place.get(one.key) == await place.get(two.key) == b"same"
    await place.provider.delete_content(one.key, CALL)
    assert await place.get(two.key) == b"same"
    await place.provider.delete_content(two.key, CALL)
    assert place.left() == []


async def test_a_twin_that_was_cut_is_not_shared(place: Place, tmp_path: Path) -> None:
    await place.put(b"same as ever")
    (shared,) = (tmp_path / name for name in place.left() if "/objects/" in name)
    os.truncate(shared, 4)
    assert await place.get((await place.put(b"same as ever")).key) == b"same as ever"


async def test_a_full_disk_is_said_and_leaves_nothing(place: Place) -> None:
    """By the limit of a file's size: the kernel answers as it does when space runs out in the middle of a write."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * MIB + 5, limits[1]))
    try:
        with pytest.raises(Overloaded, match="storage_dir") as raised:
            await place.put(*[b"x" * MIB] * 5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.code == "storage_full"
    assert place.left() == []
    assert (await place.put(b"again")).size == 5


async def test_no_descriptor_is_left_open(place: Place) -> None:
    kept = await place.put(b"x" * 5 * MIB)
    before = descriptors()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * MIB
        await asyncio.Event().wait()

    for turns in range(25):
        tasks = [asyncio.create_task(place.get(kept.key)), asyncio.create_task(place.send(endless()))]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(10):
        reading = place.provider.read_content(kept.key, CALL)
        await anext(reading)
        await reading.aclose()
        with pytest.raises(NotFound):
            await place.get(kept.key[:-1] + ("0" if kept.key[-1] != "0" else "1"))
    assert descriptors() == before


async def test_a_file_that_shrinks_while_it_is_read_is_an_error(place: Place, tmp_path: Path) -> None:
    kept = await place.put(b"x" * 3 * MIB)
    reading = place.provider.read_content(kept.key, CALL)
    await anext(reading)
    os.truncate(tmp_path / next(name for name in place.left() if "/contents/" in name), MIB)
    with pytest.raises(ProviderError, match="shorter"):
        await anext(reading)


async def test_a_directory_that_cannot_be_used_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ProviderError, match=r"storage_dir .* cannot be used: not a directory"):
        async with opened("inline::localfs", tmp_path, storage_dir=str(tmp_path / "file" / "below")):
            pass


async def test_a_directory_that_is_gone_is_said_in_health_and_errors(place: Place, tmp_path: Path) -> None:
    (tmp_path / "contents").rename(tmp_path / "elsewhere")
    health = await place.provider.health()
    assert (health.status, health.message) == (
        HealthStatus.ERROR,
        "storage_dir cannot be used: no such file or directory",
    )
    with pytest.raises(ProviderError, match="no such file or directory"):
        await place.put(b"x")


async def test_the_configured_directory_and_what_older_configs_say(tmp_path: Path) -> None:
    config = {"storage_dir": str(tmp_path / "mine"), "ttl_secs": 60, "metadata_store": {"table_name": "files"}}
    async with opened("inline::localfs", tmp_path / "state", **config) as provider:
        await provider.write_content(new(), one_byte(), CALL)
    assert len(files_in(tmp_path / "mine")) == 2
    assert not (tmp_path / "state").exists()


def test_ids_that_could_be_paths_are_refused(tmp_path: Path) -> None:
    for bad in ["", "..", "a/b", "a.b", "a\0", "x" * 129, "é"]:
        with pytest.raises(ValueError, match="id of a content"):
            ContentWriter(ContentDirectory(tmp_path), "t", bad)


async def one_byte() -> AsyncIterator[bytes]:
    yield b"x"
