"""Conversations: items in an order that all who read agree on, kept for their owner, who alone can see them.

An item is bytes here, under an id that is its own within the conversation, and a position. Whoever adds items first
takes positions for them by an UPDATE of the conversation's row, and so is alone until the commit: an item that can be
read comes before all that are added later, and `position` says where a reader stands for good. Pages, additions and
single items are found by index, however long the conversation is.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from llama_stack.config.stored import ConversationsConfig
from llama_stack.storage.sql.completions import check_metadata
from llama_stack.storage.sql.database import Database, Params, Prepared, Row
from llama_stack.storage.sql.parameters import is_owned, new, new_row, owned
from llama_stack.storage.sql.tables import CONVERSATION_ITEMS as ITEMS
from llama_stack.storage.sql.tables import CONVERSATIONS
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound, PayloadTooLarge
from llama_stack_api.paging import LIMIT_DEFAULT, LIMIT_MAX, Order
from llama_stack_api.principal import Principal

SECTION: Final = "server.conversations"
ITEM_ID_CHARS_MAX = 256

_ID = re.compile(r"conv_[0-9a-f]{48}")
_ITEM_ID = re.compile(rf"[\x21-\x7e]{{1,{ITEM_ID_CHARS_MAX}}}")

_RECORD = (CONVERSATIONS.c.id, CONVERSATIONS.c.created_at, CONVERSATIONS.c.metadata)
_OWNED = is_owned(CONVERSATIONS)
"""Part of every statement: for anyone else, the conversation does not exist."""
_THIS = (*_OWNED, CONVERSATIONS.c.id == sa.bindparam("of_conversation"))
_NEW_ID = sa.bindparam("new_id", type_=sa.Text)
_ITEM = ITEMS.c.id == sa.bindparam("of_item")
_TAKEN = sa.bindparam("taken", type_=sa.BigInteger)
_FIRST_TAKEN = CONVERSATIONS.c.next_position - _TAKEN


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """`created_at` is in Unix seconds."""

    id: str
    created_at: float
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class StoredItem:
    """Its `id` in the conversation is mostly, but need not be, the one that its body names."""

    id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class ItemPage:
    items: list[StoredItem]
    has_more: bool


class ConversationStore:
    """Each method takes the principal who asks; what is not theirs is `NotFound`."""

    def __init__(
        self,
        database: Database,
        *,
        limits: ConversationsConfig | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._limits = limits or ConversationsConfig()
        self._clock = clock
        prepare = database.prepare
        self._create = prepare(sa.insert(CONVERSATIONS).values(new_row(CONVERSATIONS)).returning(*_RECORD))
        self._update = prepare(
            sa.update(CONVERSATIONS).where(*_THIS).values(metadata=new(CONVERSATIONS.c.metadata)).returning(*_RECORD)
        )
        self._delete = prepare(sa.delete(CONVERSATIONS).where(*_THIS).returning(CONVERSATIONS.c.id))
        self._take = prepare(
            sa.update(CONVERSATIONS)
            .where(*_THIS)
            .values(next_position=CONVERSATIONS.c.next_position + _TAKEN)
            .returning(CONVERSATIONS.c.id)
        )
        self._insert = prepare(_insert(database, _NEW_ID).returning(ITEMS.c.id))
        self._insert_if_room = prepare(_insert(database, _NEW_ID, *_room()).returning(ITEMS.c.id))
        self._insert_once = prepare(_insert(database, _free_id()).on_conflict_do_nothing().returning(ITEMS.c.id))
        self._count = prepare(_count(ITEMS.c.position >= _FIRST_TAKEN, added=True))
        self._lock = prepare(sa.select(CONVERSATIONS.c.id).where(*_THIS).with_for_update())
        self._uncount = prepare(_count(_ITEM, added=False).returning(*_RECORD))
        self._delete_item = prepare(
            sa.delete(ITEMS)
            .where(ITEMS.c.conversation.in_(sa.select(CONVERSATIONS.c.id).where(*_THIS)), _ITEM)
            .returning(ITEMS.c.id)
        )

    async def create(
        self, principal: Principal, *, metadata: Mapping[str, str] | None = None, items: Sequence[StoredItem] = ()
    ) -> StoredConversation:
        """A new conversation with `items` in it. `Conflict` if two of them have one id."""
        check_metadata(metadata or {})
        self._check(items)
        size = sum(len(item.body) for item in items)
        if len(items) > self._limits.items_max or size > self._limits.bytes_max:
            raise _full(self._limits)
        conversation_id = f"conv_{secrets.token_hex(24)}"
        row = {
            "new_id": conversation_id,
            "new_tenant": principal.tenant,
            "new_owner": principal.id,
            "new_created_at": self._clock(),
            "new_metadata": msgspec.json.encode(metadata or {}).decode(),
            "new_next_position": len(items),
            "new_item_count": len(items),
            "new_byte_count": size,
        }
        inserts = _inserts(self._insert, _this(principal, conversation_id), items)
        with _ids_in_use():
            created, *_ = await self._database.write((self._create, row), *inserts)
        return _record(created.rows[0])

    async def get(self, principal: Principal, conversation_id: str) -> StoredConversation:
        rows = await self._database.read(sa.select(*_RECORD).where(*_THIS), _this(principal, conversation_id))
        return _record(_only(rows, conversation_id))

    async def update(
        self, principal: Principal, conversation_id: str, metadata: Mapping[str, str]
    ) -> StoredConversation:
        """Replace the metadata."""
        check_metadata(metadata)
        params = {**_this(principal, conversation_id), "new_metadata": msgspec.json.encode(metadata).decode()}
        (written,) = await self._database.write((self._update, params))
        return _record(_only(written.rows, conversation_id))

    async def delete(self, principal: Principal, conversation_id: str) -> None:
        """The conversation and its items."""
        (written,) = await self._database.write((self._delete, _this(principal, conversation_id)))
        _only(written.rows, conversation_id)

    async def add_items(self, principal: Principal, conversation_id: str, items: Sequence[StoredItem]) -> None:
        """Add all of them, or none: `InvalidRequest` if there is no room, `Conflict` if an id is in use."""
        self._check(items)
        this = _this(principal, conversation_id)
        added = {
            "added": len(items),
            "added_bytes": sum(len(item.body) for item in items),
            "items_max": self._limits.items_max,
            "bytes_max": self._limits.bytes_max,
        }
        with _ids_in_use():
            taken, *inserted, _ = await self._database.write(
                (self._take, {**this, "taken": len(items)}),
                *_inserts(self._insert_if_room, {**this, **added}, items),
                (self._count, {**this, "taken": len(items)}),
            )
        _only(taken.rows, conversation_id)
        if items and not inserted[0].rows:
            raise _full(self._limits)

    async def append(
        self, principal: Principal, conversation_id: str, run_id: str, items: Sequence[StoredItem]
    ) -> None:
        """Add what a response brings, however full the conversation is. Nothing is added twice: neither the response,
        nor an item of the conversation that it was sent once more. An item under an id that cannot be kept, or that
        another item has (some clients count), gets one of its own."""
        this = _this(principal, conversation_id)
        taken, *_ = await self._database.write(
            (self._take, {**this, "taken": len(items)}),
            *_inserts(self._insert_once, this, items, run_id),
            (self._count, {**this, "taken": len(items)}),
        )
        _only(taken.rows, conversation_id)

    async def list_items(
        self,
        principal: Principal,
        conversation_id: str,
        *,
        after: str | None = None,
        limit: int = LIMIT_DEFAULT,
        order: Order = "desc",
    ) -> ItemPage:
        """By position. A page is stable under what is added meanwhile."""
        if not 1 <= limit <= LIMIT_MAX:
            raise InvalidRequest(f"limit is 1 to {LIMIT_MAX}, not {limit}", param="limit")
        query = _items(ITEMS.c.id, ITEMS.c.body)
        params: dict[str, Any] = _this(principal, conversation_id)
        if after is not None:
            params["of_place"] = await self._place(principal, conversation_id, after)
            place = sa.bindparam("of_place", type_=sa.BigInteger)
            query = query.where(ITEMS.c.position > place if order == "asc" else ITEMS.c.position < place)
        query = query.order_by(ITEMS.c.position if order == "asc" else ITEMS.c.position.desc()).limit(limit + 1)
        rows = await self._database.read(query, params)
        if not rows:
            await self.get(principal, conversation_id)
        return ItemPage([StoredItem(*row) for row in rows[:limit]], has_more=len(rows) > limit)

    async def get_item(self, principal: Principal, conversation_id: str, item_id: str) -> StoredItem:
        params = _this_item(principal, conversation_id, item_id)
        rows = await self._database.read(_items(ITEMS.c.id, ITEMS.c.body).where(_ITEM), params)
        if not rows:
            await self.get(principal, conversation_id)
            raise _no_item(item_id)
        return StoredItem(*rows[0])

    async def find_items(self, principal: Principal, item_ids: Sequence[str]) -> list[StoredItem]:
        """Those of the items that are in a conversation of the principal's; one that is in several, once for each."""
        of_owner = (
            sa.select(ITEMS.c.id, ITEMS.c.body)
            .join_from(ITEMS, CONVERSATIONS, CONVERSATIONS.c.id == ITEMS.c.conversation)
            .where(*_OWNED)
        )
        found: list[StoredItem] = []
        for start in range(0, len(item_ids), LIMIT_MAX):
            those = map(sa.literal, item_ids[start : start + LIMIT_MAX])
            rows = await self._database.read(of_owner.where(ITEMS.c.id.in_(list(those))), owned(principal))
            found += [StoredItem(*row) for row in rows]
        return found

    async def delete_item(self, principal: Principal, conversation_id: str, item_id: str) -> StoredConversation:
        """Returns the conversation."""
        params = _this_item(principal, conversation_id, item_id)
        # The lock is a statement of its own: what comes after it sees what others have committed before.
        _, counted, deleted = await self._database.write(
            (self._lock, _this(principal, conversation_id)), (self._uncount, params), (self._delete_item, params)
        )
        record = _record(_only(counted.rows, conversation_id))
        if not deleted.rows:
            raise _no_item(item_id)
        return record

    async def position(self, principal: Principal, conversation_id: str) -> int:
        """Where the next item goes: what is below stays as it is. `InvalidRequest` if there is no room."""
        rows = await self._database.read(
            sa.select(CONVERSATIONS.c.next_position, CONVERSATIONS.c.item_count, CONVERSATIONS.c.byte_count).where(
                *_THIS
            ),
            _this(principal, conversation_id),
        )
        position, count, size = _only(rows, conversation_id)
        if count >= self._limits.items_max or size >= self._limits.bytes_max:
            raise _full(self._limits)
        return int(position)

    async def entries(self, principal: Principal, conversation_id: str, *, upto: int) -> list[bytes]:
        """The bodies of the items below position `upto`, in order."""
        before = ITEMS.c.position < sa.bindparam("upto", type_=sa.BigInteger)
        query = _items(ITEMS.c.body).where(before).order_by(ITEMS.c.position)
        rows = await self._database.read(query, {**_this(principal, conversation_id), "upto": upto})
        if not rows:
            await self.get(principal, conversation_id)
        return [body for (body,) in rows]

    async def _place(self, principal: Principal, conversation_id: str, after: str) -> int:
        rows: Sequence[Row] = ()
        if _ITEM_ID.fullmatch(after):
            params = _this_item(principal, conversation_id, after)
            rows = await self._database.read(_items(ITEMS.c.position).where(_ITEM), params)
        if not rows:
            await self.get(principal, conversation_id)
            raise InvalidRequest(
                f"there is no item {after[:ITEM_ID_CHARS_MAX]!r} in this conversation to list after", param="after"
            )
        return int(rows[0][0])

    def _check(self, items: Sequence[StoredItem]) -> None:
        for number, item in enumerate(items):
            if not is_item_id(item.id):
                raise InvalidRequest(
                    f"an item's id has 1 to {ITEM_ID_CHARS_MAX} printable ASCII characters", param=f"items[{number}].id"
                )
            if len(item.body) > self._limits.item_bytes_max:
                raise PayloadTooLarge(
                    f"an item has at most {self._limits.item_bytes_max} bytes, not {len(item.body)}; "
                    f"{SECTION}.item_bytes_max raises the limit",
                    param=f"items[{number}]",
                )


def is_item_id(text: str) -> bool:
    """Whether an id that a client chose can be kept: printable ASCII, of bounded length."""
    return _ITEM_ID.fullmatch(text) is not None


@contextmanager
def _ids_in_use() -> Iterator[None]:
    """Says which constraint it is that a write breaks."""
    try:
        yield
    except Conflict as error:
        raise Conflict("an item of this conversation has one of these ids already", param="items") from error


def _insert(database: Database, item_id: sa.ColumnElement[str], *conditions: sa.ColumnElement[bool]) -> Any:
    """An item at the place `offset` of those taken."""
    place = _FIRST_TAKEN + sa.bindparam("offset", type_=sa.BigInteger)
    row = sa.select(CONVERSATIONS.c.id, place, item_id, new(ITEMS.c.run), new(ITEMS.c.body))
    row = row.where(*_THIS, *conditions)
    return database.insert(ITEMS).from_select([column.name for column in ITEMS.c], row)


def _free_id() -> sa.ColumnElement[str]:
    """The item's own id, unless another response or a client has put another item there under it."""
    elsewhere = sa.or_(ITEMS.c.run.is_(None), ITEMS.c.run != new(ITEMS.c.run))
    same_id = (ITEMS.c.conversation == CONVERSATIONS.c.id, ITEMS.c.id == _NEW_ID)
    taken = sa.exists().where(*same_id, elsewhere, ITEMS.c.body != new(ITEMS.c.body))
    return sa.case((taken, sa.bindparam("other_id", type_=sa.Text)), else_=_NEW_ID)


def _room() -> tuple[sa.ColumnElement[bool], ...]:
    added, added_bytes, items_max, bytes_max = (
        sa.bindparam(name, type_=sa.BigInteger) for name in ("added", "added_bytes", "items_max", "bytes_max")
    )
    return (
        CONVERSATIONS.c.item_count + added <= items_max,
        CONVERSATIONS.c.byte_count + added_bytes <= bytes_max,
    )


def _count(which: sa.ColumnElement[bool], *, added: bool) -> sa.Update:
    """Counts the items in, or out, that are there now."""
    sign = 1 if added else -1
    those = (ITEMS.c.conversation == CONVERSATIONS.c.id, which)
    size = sa.func.coalesce(sa.func.sum(sa.func.length(ITEMS.c.body)), 0)
    return (
        sa.update(CONVERSATIONS)
        .where(*_THIS)
        .values(
            item_count=CONVERSATIONS.c.item_count
            + sign * sa.select(sa.func.count()).select_from(ITEMS).where(*those).scalar_subquery(),
            byte_count=CONVERSATIONS.c.byte_count + sign * sa.select(size).where(*those).scalar_subquery(),
        )
    )


def _items(*columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    return sa.select(*columns).join_from(ITEMS, CONVERSATIONS, CONVERSATIONS.c.id == ITEMS.c.conversation).where(*_THIS)


def _inserts(
    insert: Prepared, params: Params, items: Sequence[StoredItem], run_id: str | None = None
) -> list[tuple[Prepared, Params]]:
    def row(number: int, item: StoredItem) -> dict[str, Any]:
        other_id = f"item_{run_id}_{number}"
        item_id = item.id if is_item_id(item.id) else other_id
        own = {"new_id": item_id, "new_body": item.body, "other_id": other_id}
        return {**params, **own, "new_run": run_id, "taken": len(items), "offset": number}

    return [(insert, row(number, item)) for number, item in enumerate(items)]


def _this(principal: Principal, conversation_id: str) -> dict[str, Any]:
    if not _ID.fullmatch(conversation_id):
        raise _missing(conversation_id)
    return owned(principal) | {"of_conversation": conversation_id}


def _this_item(principal: Principal, conversation_id: str, item_id: str) -> dict[str, Any]:
    this = _this(principal, conversation_id)
    if not is_item_id(item_id):
        raise _no_item(item_id)
    return {**this, "of_item": item_id}


def _only(rows: Sequence[Row], conversation_id: str) -> Row:
    if not rows:
        raise _missing(conversation_id)
    return rows[0]


def _missing(conversation_id: str) -> NotFound:
    return NotFound(f"there is no conversation {conversation_id[:100]!r}", param="conversation_id")


def _no_item(item_id: str) -> NotFound:
    return NotFound(f"there is no item {item_id[:ITEM_ID_CHARS_MAX]!r} in this conversation", param="item_id")


def _full(limits: ConversationsConfig) -> InvalidRequest:
    return InvalidRequest(
        f"the conversation has no room for this: it holds at most {limits.items_max} items of together "
        f"{limits.bytes_max} bytes ({SECTION}.items_max and {SECTION}.bytes_max). Delete items, or go on in a new one",
        param="conversation",
        code="conversation_full",
    )


def _record(row: Row) -> StoredConversation:
    conversation_id, created_at, metadata = row
    return StoredConversation(conversation_id, created_at, msgspec.json.decode(metadata, type=dict[str, str]))
