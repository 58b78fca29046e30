"""Keys and values in Redis (or whatever speaks its protocol), which expires them itself."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from llama_stack.config.storage import KVRedisBackend
from llama_stack.storage.errors import NotACounter, StoreUnavailable
from llama_stack.storage.kv.base import KVBackend

KEY_PREFIX = b"ls:"
"""Sets our keys apart in a Redis that others use too."""
CONNECT_TIMEOUT_S = 2.0
OPERATION_TIMEOUT_S = 2.0
CONNECTIONS_MAX = 32
HEALTH_CHECK_INTERVAL_S = 30
SCAN_PAGE_KEYS = 500

_COMPARE_AND_SET = """
if redis.call('GET', KEYS[1]) ~= (ARGV[1] == '1' and ARGV[2]) then return 0 end
if ARGV[4] == '' then redis.call('SET', KEYS[1], ARGV[3]) else redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4]) end
return 1
"""
_ADD = """
local fresh = redis.call('EXISTS', KEYS[1]) == 0
local total = redis.call('INCRBY', KEYS[1], ARGV[1])
if fresh and ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return tostring(redis.call('GET', KEYS[1]))
"""


class RedisKV(KVBackend):
    """Nothing is retried: `add` must not count twice. Every wait is bounded, so a Redis that is away costs seconds."""

    def __init__(self, config: KVRedisBackend) -> None:
        super().__init__(server=config.namespace)
        self._where = "the configured url" if config.url else f"{config.host}:{config.port}"
        self._redis: Redis = Redis(connection_pool=_pool(config))
        self._compare_and_set = self._redis.register_script(_COMPARE_AND_SET)
        self._add = self._redis.register_script(_ADD)

    async def open(self) -> None:
        """Connects with the first operation: a Redis that is away does not keep the server from starting."""

    async def close(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def sweep(self, rows_max: int) -> int:
        """Redis removes what has expired."""
        return 0

    async def get(self, key: bytes) -> bytes | None:
        async with self._errors():
            return cast("bytes | None", await self._redis.get(KEY_PREFIX + key))

    async def set(self, key: bytes, value: bytes, ttl_s: float | None) -> None:
        async with self._errors():
            await self._redis.set(KEY_PREFIX + key, value, px=_milliseconds(ttl_s))

    async def delete(self, key: bytes) -> bool:
        async with self._errors():
            return bool(await self._redis.delete(KEY_PREFIX + key))

    async def compare_and_set(self, key: bytes, expected: bytes | None, value: bytes, ttl_s: float | None) -> bool:
        arguments = [b"0" if expected is None else b"1", expected or b"", value, _milliseconds(ttl_s) or b""]
        return bool(await self._script(self._compare_and_set, key, arguments))

    async def add(self, key: bytes, amount: int, ttl_s: float | None) -> int:
        # The total comes back as text: a number of Lua is a float, exact to 53 bits only.
        return int(await self._script(self._add, key, [amount, _milliseconds(ttl_s) or b""]))

    async def scan(self, prefix: bytes) -> AsyncIterator[bytes]:
        pattern = _glob_escape(KEY_PREFIX + prefix) + b"*"
        cursor, seen = 0, set[bytes]()  # Redis may name a key twice
        while True:
            async with self._errors():
                cursor, keys = await self._redis.scan(cursor, match=pattern, count=SCAN_PAGE_KEYS)
            for key in cast("list[bytes]", keys):
                if key not in seen:
                    seen.add(key)
                    yield key[len(KEY_PREFIX) :]
            if int(cursor) == 0:
                return

    async def _script(self, script: Any, key: bytes, arguments: list[Any]) -> Any:
        async with self._errors():
            return await cast(Awaitable[Any], script(keys=[KEY_PREFIX + key], args=arguments))

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        try:
            yield
        except ResponseError as error:
            if "not an integer" in str(error) or "overflow" in str(error):
                raise NotACounter("the value under this key is not a counter of 64 bits") from error
            raise StoreUnavailable(f"Redis at {self._where} refuses the operation: {error}") from error
        except (RedisError, OSError, TimeoutError) as error:
            detail = str(error) or type(error).__name__
            raise StoreUnavailable(f"Redis at {self._where} does not answer: {detail}", retry_after_s=1.0) from error


def _pool(config: KVRedisBackend) -> BlockingConnectionPool:
    options: dict[str, Any] = {
        "max_connections": CONNECTIONS_MAX,
        "timeout": OPERATION_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": OPERATION_TIMEOUT_S,
        "health_check_interval": HEALTH_CHECK_INTERVAL_S,
        "retry": Retry(NoBackoff(), 0),
    }
    if config.url is not None:
        return BlockingConnectionPool.from_url(config.url.get_secret_value(), **options)
    if config.tls:
        options["connection_class"] = SSLConnection
    return BlockingConnectionPool(
        host=config.host,
        port=config.port,
        db=config.db,
        username=config.username,
        password=config.password.get_secret_value() if config.password else None,
        **options,
    )


def _milliseconds(ttl_s: float | None) -> int | None:
    return None if ttl_s is None else math.ceil(ttl_s * 1000)


def _glob_escape(text: bytes) -> bytes:
    return b"".join(b"\\" + bytes([byte]) if byte in b"*?[]^-\\" else bytes([byte]) for byte in text)
