"""Stored chat completions (`store: true`): kept for their owner, who alone can see them.

The JSON of a completion is stored as it came and returned as it was stored; only `metadata`, which an owner may
change, lives in a column of its own and is put back on the way out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec
import sqlalchemy as sa

from llama_stack.storage.sql.database import Database, Row
from llama_stack.storage.sql.parameters import is_owned, owned
from llama_stack.storage.sql.tables import CHAT_COMPLETIONS as TABLE
from llama_stack.storage.sweeper import Sweeper
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound, ProviderError
from llama_stack_api.principal import Principal

Item = TypeVar("Item", "StoredCompletion", "StoredMessage")
Order = Literal["asc", "desc"]

LIMIT_MAX = 100
ID_CHARS_MAX = 256
CREATED_MAX = 2**53
METADATA_PAIRS_MAX = 16
METADATA_KEY_CHARS_MAX = 64
METADATA_VALUE_CHARS_MAX = 512

_RECORD = (TABLE.c.id, TABLE.c.created, TABLE.c.model, TABLE.c.metadata, TABLE.c.completion)
_OWNED = is_owned(TABLE)
"""Part of every statement but the insert and the sweep: for anyone else, the row does not exist."""
_THIS = (*_OWNED, TABLE.c.id == sa.bindparam("of_id"))


@dataclass(frozen=True, slots=True)
class StoredCompletion:
    """`completion` is JSON without `metadata`; `to_json` is the object that the API returns."""

    id: str
    created: int
    model: str
    metadata: dict[str, str]
    completion: bytes

    def to_json(self) -> bytes:
        return b'%s,"metadata":%s}' % (self.completion[:-1], msgspec.json.encode(self.metadata))


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message of the request, with the id that a page may start after."""

    id: str
    message: dict[str, Any]

    def to_json(self) -> bytes:
        return msgspec.json.encode(self.message)


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    items: list[Item]
    has_more: bool

    def to_json(self) -> bytes:
        """The list object that the API returns."""
        first, last = (self.items[0].id, self.items[-1].id) if self.items else ("", "")
        return b'{"object":"list","data":[%s],"first_id":%s,"last_id":%s,"has_more":%s}' % (
            b",".join(item.to_json() for item in self.items),
            msgspec.json.encode(first),
            msgspec.json.encode(last),
            b"true" if self.has_more else b"false",
        )


class CompletionStore:
    """Each method takes the principal who asks; what is not theirs is `NotFound`.

    `max_age_s`: completions stored longer ago are removed, in batches, while the store is open; None keeps them.
    """

    def __init__(
        self, database: Database, *, max_age_s: float | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._max_age_s = max_age_s
        self._clock = clock
        self._insert = database.prepare(
            database.insert(TABLE)
            .values({column: sa.bindparam(f"new_{column}") for column in TABLE.c.keys()})  # noqa: SIM118
            .on_conflict_do_nothing()
            .returning(TABLE.c.id)
        )
        self._update = database.prepare(
            sa.update(TABLE).where(*_THIS).values(metadata=sa.bindparam("new_metadata")).returning(*_RECORD)
        )
        self._delete = database.prepare(sa.delete(TABLE).where(*_THIS).returning(TABLE.c.id))
        self._sweep = database.prepare(_sweep())
        self._sweeper = Sweeper("stored chat completions", self.sweep)

    async def open(self) -> None:
        if self._max_age_s is not None:
            self._sweeper.start()

    async def close(self) -> None:
        await self._sweeper.stop()

    async def save(
        self,
        principal: Principal,
        completion: bytes | Mapping[str, Any],
        messages: bytes | list[Any],
        *,
        model: str,
        metadata: Mapping[str, str] | None = None,
        created: int | None = None,
    ) -> str:
        """Keep a completion under the id that it bears, with the messages of its request; returns the id.

        `created` (Unix seconds) is read from the completion if it is not given.
        `ProviderError` if `completion` is no completion, `Conflict` if the owner has one of this id already.
        """
        check_metadata(metadata or {})
        body, head = _normal(completion if isinstance(completion, bytes) else msgspec.json.encode(completion))
        row = {
            "new_tenant": principal.tenant,
            "new_owner": principal.id,
            "new_id": head.id,
            "new_created": created if created is not None else _time_of(head, self._clock()),
            "new_stored_at": self._clock(),
            "new_model": _text(model, "model"),
            "new_metadata": msgspec.json.encode(metadata or {}).decode(),
            "new_completion": body.decode(errors="replace"),
            "new_messages": (messages if isinstance(messages, bytes) else msgspec.json.encode(messages)).decode(
                errors="replace"
            ),
        }
        (written,) = await self._database.write((self._insert, row))
        if not written.rows:
            raise Conflict(f"a chat completion with the id {head.id!r} is stored already")
        return head.id

    async def get(self, principal: Principal, completion_id: str) -> StoredCompletion:
        rows = await self._database.read(sa.select(*_RECORD).where(*_THIS), _this(principal, completion_id))
        return _record(_only(rows, completion_id))

    async def update(self, principal: Principal, completion_id: str, metadata: Mapping[str, str]) -> StoredCompletion:
        """Replace the metadata."""
        check_metadata(metadata)
        params = {**_this(principal, completion_id), "new_metadata": msgspec.json.encode(metadata).decode()}
        (written,) = await self._database.write((self._update, params))
        return _record(_only(written.rows, completion_id))

    async def delete(self, principal: Principal, completion_id: str) -> None:
        (written,) = await self._database.write((self._delete, _this(principal, completion_id)))
        _only(written.rows, completion_id)

    async def list(
        self,
        principal: Principal,
        *,
        after: str | None = None,
        limit: int = 20,
        order: Order = "asc",
        model: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[StoredCompletion]:
        """In the order in which they were stored, whatever `created` says: upstreams count whole seconds, if at all.

        Those with all pairs of `metadata`. A page is stable under what is stored meanwhile.
        """
        _check_limit(limit)
        check_metadata(metadata or {})
        query = sa.select(*_RECORD).where(*_OWNED)
        if model is not None:
            query = query.where(TABLE.c.model == _text(model, "model"))
        for key, value in (metadata or {}).items():
            query = query.where(self._database.json_has(TABLE.c.metadata, key, value))
        if after is not None:
            query = query.where(await self._beyond(principal, after, order))
        keys = (TABLE.c.stored_at, TABLE.c.id)
        query = query.order_by(*(keys if order == "asc" else (key.desc() for key in keys))).limit(limit + 1)
        rows = await self._database.read(query, owned(principal))
        return Page([_record(row) for row in rows[:limit]], has_more=len(rows) > limit)

    async def messages(
        self,
        principal: Principal,
        completion_id: str,
        *,
        after: str | None = None,
        limit: int = 20,
        order: Order = "asc",
    ) -> Page[StoredMessage]:
        """The messages of the request, in its order."""
        _check_limit(limit)
        rows = await self._database.read(sa.select(TABLE.c.messages).where(*_THIS), _this(principal, completion_id))
        (text,) = _only(rows, completion_id)
        stored = msgspec.json.decode(text, type=list[msgspec.Raw])
        ids = [f"{completion_id}-{number}" for number in range(len(stored))]
        numbers = range(len(stored)) if order == "asc" else range(len(stored) - 1, -1, -1)
        if after is not None:
            if after not in ids:
                raise InvalidRequest(f"there is no message {after!r} in this chat completion", param="after")
            numbers = numbers[numbers.index(ids.index(after)) + 1 :]
        items = [StoredMessage(ids[number], _message(ids[number], stored[number])) for number in numbers[:limit]]
        return Page(items, has_more=len(numbers) > limit)

    async def sweep(self, rows_max: int) -> int:
        """Remove at most `rows_max` completions, of any owner, that are older than `max_age_s`; how many went."""
        if self._max_age_s is None:
            return 0
        params = {"before": self._clock() - self._max_age_s, "rows_max": rows_max}
        (written,) = await self._database.write((self._sweep, params))
        return len(written.rows)

    async def _beyond(self, principal: Principal, after: str, order: Order) -> sa.ColumnElement[bool]:
        rows = await self._database.read(
            sa.select(TABLE.c.stored_at).where(*_THIS), _this(principal, _text(after, "after"))
        )
        if not rows:
            raise InvalidRequest(f"there is no stored chat completion {after!r} to list after", param="after")
        place = sa.tuple_(TABLE.c.stored_at, TABLE.c.id)
        cursor = sa.tuple_(sa.literal(rows[0][0]), sa.literal(after))
        return place > cursor if order == "asc" else place < cursor


def check_metadata(metadata: Mapping[str, str]) -> None:
    """`InvalidRequest` unless it is what OpenAI allows. Worth calling before a model is asked, not after."""
    if len(metadata) > METADATA_PAIRS_MAX:
        raise InvalidRequest(f"metadata has at most {METADATA_PAIRS_MAX} pairs, not {len(metadata)}", param="metadata")
    for key, value in metadata.items():
        if len(key) > METADATA_KEY_CHARS_MAX or len(value) > METADATA_VALUE_CHARS_MAX:
            raise InvalidRequest(
                f"a metadata key has at most {METADATA_KEY_CHARS_MAX} characters and a value at most "
                f"{METADATA_VALUE_CHARS_MAX}; see {key[:METADATA_KEY_CHARS_MAX]!r}",
                param="metadata",
            )
        _text(key, "metadata")
        _text(value, "metadata")


class _Head(msgspec.Struct):
    """What we read of a completion; the rest is not looked at."""

    id: str
    created: Any = None
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def _normal(body: bytes) -> tuple[bytes, _Head]:
    """One JSON object without `metadata`, ending in its brace."""
    try:
        head = msgspec.json.decode(body, type=_Head)
    except msgspec.DecodeError as error:
        raise ProviderError(f"the reply cannot be stored, it is not a chat completion: {error}") from error
    if not 1 <= len(head.id) <= ID_CHARS_MAX or not _is_storable(head.id):
        raise ProviderError(f"the reply cannot be stored: its id must have 1 to {ID_CHARS_MAX} plain characters")
    if head.metadata is not msgspec.UNSET:
        completion = msgspec.json.decode(body)
        del completion["metadata"]
        body = msgspec.json.encode(completion)
    return body.strip(), head


def _time_of(head: _Head, now: float) -> int:
    """Upstreams send whole numbers, fractions, null, or nothing."""
    sent = head.created
    return int(sent) if isinstance(sent, int | float) and 0 <= sent < CREATED_MAX else int(now)


def _message(message_id: str, stored: msgspec.Raw) -> dict[str, Any]:
    """As the contract shows a stored message: content that came in parts is `content_parts`, and `content` null."""
    message: dict[str, Any] = msgspec.json.decode(stored)
    content = message.get("content")
    parts = content if isinstance(content, list) else None
    return {
        "refusal": None,
        **message,
        "id": message_id,
        "content": content if parts is None else None,
        "content_parts": parts,
    }


def _sweep() -> sa.Executable:
    key = (TABLE.c.tenant, TABLE.c.owner, TABLE.c.id)
    old = (
        sa.select(*key)
        .where(TABLE.c.stored_at < sa.bindparam("before"))
        .order_by(TABLE.c.stored_at)
        .limit(sa.bindparam("rows_max", type_=sa.Integer))
    )
    return sa.delete(TABLE).where(sa.tuple_(*key).in_(old)).returning(TABLE.c.id)


def _this(principal: Principal, completion_id: str) -> dict[str, str]:
    if not _is_storable(completion_id):
        raise _missing(completion_id)
    return {**owned(principal), "of_id": completion_id}


def _only(rows: Sequence[Row], completion_id: str) -> Row:
    if not rows:
        raise _missing(completion_id)
    return rows[0]


def _missing(completion_id: str) -> NotFound:
    return NotFound(
        f"no stored chat completion has the id {completion_id[:ID_CHARS_MAX]!r}; only those asked for with "
        "`store: true` are kept",
        param="completion_id",
    )


def _record(row: Row) -> StoredCompletion:
    completion_id, created, model, metadata, completion = row
    return StoredCompletion(
        completion_id, created, model, msgspec.json.decode(metadata, type=dict[str, str]), completion.encode()
    )


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= LIMIT_MAX:
        raise InvalidRequest(f"limit is 1 to {LIMIT_MAX}, not {limit}", param="limit")


def _text(value: str, param: str) -> str:
    if not _is_storable(value):
        raise InvalidRequest(f"{param} holds a character that cannot be stored (NUL or a lone surrogate)", param=param)
    return value


def _is_storable(text: str) -> bool:
    """PostgreSQL has no NUL in text, UTF-8 no lone surrogates."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
