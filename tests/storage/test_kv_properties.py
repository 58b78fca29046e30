"""Any sequence of operations gives what a dict with expiry times would, on every backend."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from llama_stack.storage.kv import KVBackend, MemoryKV
from llama_stack.storage.kv.postgres import PostgresKV
from llama_stack.storage.kv.redis import RedisKV
from llama_stack.storage.kv.sqlite import SqliteKV
from llama_stack_api.ports.kv import KV
from tests.support.databases import Postgres, redis_backend

KEYS = st.sampled_from(["a", "a:", "a*", "b", "b\\", "é", "%3A"])
SCOPES = st.sampled_from([("t", "n"), ("t:", "n"), ("t", "n:a")])
VALUES = st.sampled_from([b"", b"7", b"\x00\xff", b"x"])
TTLS = st.sampled_from([None, 10.0, 25.0])
Scope = tuple[str, str]


class Driver:
    """A backend in an event loop of its own, and the clock that it reads."""

    def __init__(self, make: Callable[[Callable[[], float]], KVBackend], *, has_clock: bool = True) -> None:
        self.now = 1_000_000.0
        self.has_clock = has_clock
        self.examples = 0
        self.runner = asyncio.Runner()
        self.backend = make(lambda: self.now)
        self.runner.run(self.backend.open())

    def close(self) -> None:
        self.runner.run(self.backend.close())
        self.runner.close()


class KVMachine(RuleBasedStateMachine):
    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self.driver = driver
        driver.examples += 1
        self.model: dict[tuple[Scope, str], tuple[bytes, float | None]] = {}

    def port(self, scope: Scope) -> KV:
        return self.driver.backend.bind(f"{self.driver.examples}{scope[0]}", scope[1])

    def expiry(self, ttl_s: float | None) -> float | None:
        return None if ttl_s is None else self.driver.now + ttl_s

    def value(self, scope: Scope, key: str) -> bytes | None:
        value, expires_at = self.model.get((scope, key), (None, None))
        if expires_at is not None and expires_at <= self.driver.now:
            del self.model[scope, key]
            return None
        return value

    @rule(scope=SCOPES, key=KEYS)
    def get(self, scope: Scope, key: str) -> None:
        assert self.driver.runner.run(_get(self.port(scope), key)) == self.value(scope, key)

    @rule(scope=SCOPES, key=KEYS, value=VALUES, ttl_s=TTLS)
    def set(self, scope: Scope, key: str, value: bytes, ttl_s: float | None) -> None:
        self.driver.runner.run(_set(self.port(scope), key, value, ttl_s))
        self.model[scope, key] = (value, self.expiry(ttl_s))

    @rule(scope=SCOPES, key=KEYS)
    def delete(self, scope: Scope, key: str) -> None:
        existed = self.value(scope, key) is not None
        assert self.driver.runner.run(_delete(self.port(scope), key)) is existed
        self.model.pop((scope, key), None)

    @rule(scope=SCOPES, key=KEYS, expected=st.none() | VALUES, value=VALUES, ttl_s=TTLS)
    def compare_and_set(
        self, scope: Scope, key: str, expected: bytes | None, value: bytes, ttl_s: float | None
    ) -> None:
        matches = self.value(scope, key) == expected
        assert self.driver.runner.run(_compare_and_set(self.port(scope), key, expected, value, ttl_s)) is matches
        if matches:
            self.model[scope, key] = (value, self.expiry(ttl_s))

    @rule(scope=SCOPES, key=st.sampled_from(["n1", "n2"]), amount=st.integers(-5, 2**40), ttl_s=TTLS)
    def add(self, scope: Scope, key: str, amount: int, ttl_s: float | None) -> None:
        total = int(self.value(scope, key) or b"0") + amount
        expires_at = self.model.get((scope, key), (b"", self.expiry(ttl_s)))[1]
        assert self.driver.runner.run(_add(self.port(scope), key, amount, ttl_s)) == total
        self.model[scope, key] = (b"%d" % total, expires_at)

    @rule(scope=SCOPES, prefix=st.sampled_from(["", "a", "a:", "b\\", "é", "%", "*"]))
    def scan(self, scope: Scope, prefix: str) -> None:
        live = {key for of, key in list(self.model) if of == scope and self.value(of, key) is not None}
        found = self.driver.runner.run(_scan(self.port(scope), prefix))
        assert sorted(found) == sorted(key for key in live if key.startswith(prefix))

    @rule(seconds=st.sampled_from([1.0, 9.0, 20.0]))
    def pass_time(self, seconds: float) -> None:
        if self.driver.has_clock:
            self.driver.now += seconds

    @rule()
    def sweep(self) -> None:
        self.driver.runner.run(self.driver.backend.sweep(2))


async def _get(kv: KV, key: str) -> bytes | None:
    return await kv.get(key)


async def _set(kv: KV, key: str, value: bytes, ttl_s: float | None) -> None:
    await kv.set(key, value, ttl_s=ttl_s)


async def _delete(kv: KV, key: str) -> bool:
    return await kv.delete(key)


async def _compare_and_set(kv: KV, key: str, expected: bytes | None, value: bytes, ttl_s: float | None) -> bool:
    return await kv.compare_and_set(key, expected, value, ttl_s=ttl_s)


async def _add(kv: KV, key: str, amount: int, ttl_s: float | None) -> int:
    return await kv.add(key, amount, ttl_s=ttl_s)


async def _scan(kv: KV, prefix: str) -> list[str]:
    return [key async for key in kv.scan(prefix)]


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Driver]:
    if request.param == "memory":
        driver = Driver(lambda clock: MemoryKV(clock=clock))
    elif request.param == "sqlite":
        driver = Driver(lambda clock: SqliteKV(tmp_path / "kv.db", clock=clock))
    elif request.param == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        config = postgres.kv_backend(request.getfixturevalue("postgres_database"))
        driver = Driver(lambda clock: PostgresKV(config, clock=clock))
    else:  # it has a clock of its own, so no time passes here; test_kv.py lets its keys expire
        server = request.getfixturevalue("redis")
        driver = Driver(lambda _clock: RedisKV(redis_backend(server, "properties")), has_clock=False)
    yield driver
    driver.close()


def test_kv_behaves_as_a_dict(driver: Driver) -> None:
    run_state_machine_as_test(
        lambda: KVMachine(driver),  # type: ignore[arg-type]  # it is called as a factory
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
