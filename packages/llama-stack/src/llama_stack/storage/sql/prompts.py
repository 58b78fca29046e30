"""Prompt templates by version, kept for their owner, who alone can see them.

Versions are 1 to the latest, and are never changed; an update adds one, and says which one it goes on from.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from llama_stack.config.stored import PromptsConfig
from llama_stack.storage.sql.database import Database, Row
from llama_stack.storage.sql.parameters import is_owned, new, owned
from llama_stack.storage.sql.tables import PROMPT_VERSIONS as VERSIONS
from llama_stack.storage.sql.tables import PROMPTS
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound
from llama_stack_api.principal import Principal
from llama_stack_api.prompts import Prompt

SECTION: Final = "server.prompts"

_ID = re.compile(r"pmpt_[0-9a-f]{48}")

_OWNED = is_owned(PROMPTS)
"""Part of every statement: for anyone else, the prompt does not exist."""
_THIS = (*_OWNED, PROMPTS.c.id == sa.bindparam("of_prompt"))
_VERSION = sa.bindparam("of_version", type_=sa.Integer)
_RECORD = (
    VERSIONS.c.prompt,
    VERSIONS.c.version,
    VERSIONS.c.text,
    VERSIONS.c.variables,
    PROMPTS.c.default_version,
)


class PromptStore:
    """Each method takes the principal who asks; what is not theirs is `NotFound`."""

    def __init__(
        self, database: Database, *, limits: PromptsConfig | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._limits = limits or PromptsConfig()
        self._clock = clock
        self._create = database.prepare(_create(self._limits.prompts_max))
        self._next_version = database.prepare(_next_version(self._limits.versions_max))
        self._add_version = database.prepare(_add_version(database))
        self._set_default = database.prepare(
            sa.update(PROMPTS)
            .where(*_THIS, PROMPTS.c.latest_version >= _VERSION)
            .values(default_version=_VERSION)
            .returning(PROMPTS.c.id)
        )
        self._delete = database.prepare(sa.delete(PROMPTS).where(*_THIS).returning(PROMPTS.c.id))

    async def create(self, principal: Principal, text: str, variables: Sequence[str]) -> Prompt:
        """Version 1 of a new prompt, its default."""
        self._check(text)
        prompt_id = Prompt.generate_prompt_id()
        row = {
            **owned(principal),
            "new_id": prompt_id,
            "new_tenant": principal.tenant,
            "new_owner": principal.id,
            "new_created_at": self._clock(),
        }
        created, _ = await self._database.write(
            (self._create, row),
            (self._add_version, {**_this(principal, prompt_id), "of_version": 1, **_new_text(text, variables)}),
        )
        if not created.rows:
            raise _too_many(f"you have {self._limits.prompts_max} prompts", "prompts_max")
        return await self.get(principal, prompt_id, 1)

    async def list(self, principal: Principal) -> list[Prompt]:
        """The default version of each prompt, by creation."""
        query = _versions().where(*_OWNED, VERSIONS.c.version == PROMPTS.c.default_version)
        query = query.order_by(PROMPTS.c.created_at, PROMPTS.c.id)
        return [_prompt(row) for row in await self._database.read(query, owned(principal))]

    async def get(self, principal: Principal, prompt_id: str, version: int | None = None) -> Prompt:
        """That version, or the default one."""
        wanted = PROMPTS.c.default_version if version is None else _VERSION
        params: dict[str, Any] = _this(principal, prompt_id)
        if version is not None:
            params["of_version"] = _checked_version(version)
        rows = await self._database.read(_versions().where(*_THIS, VERSIONS.c.version == wanted), params)
        if not rows:
            if version is None:
                raise _missing(prompt_id)
            raise _no_version(await self.get(principal, prompt_id), version)
        return _prompt(rows[0])

    async def versions(self, principal: Principal, prompt_id: str) -> Sequence[Prompt]:
        """All versions, the oldest first."""
        query = _versions().where(*_THIS).order_by(VERSIONS.c.version)
        rows = await self._database.read(query, _this(principal, prompt_id))
        if not rows:
            raise _missing(prompt_id)
        return [_prompt(row) for row in rows]

    async def update(
        self, principal: Principal, prompt_id: str, version: int, text: str, variables: Sequence[str], *, default: bool
    ) -> Prompt:
        """Add a version behind `version`, which must be the latest: else it is a `Conflict`."""
        self._check(text)
        this = _this(principal, prompt_id)
        version = _checked_version(version)
        moved, _ = await self._database.write(
            (self._next_version, {**this, "of_version": version, "default": default}),
            (self._add_version, {**this, "of_version": version + 1, **_new_text(text, variables)}),
        )
        if not moved.rows:
            latest = (await self.versions(principal, prompt_id))[-1].version
            if latest == version:
                raise _too_many(f"the prompt has {self._limits.versions_max} versions", "versions_max")
            raise Conflict(
                f"the prompt's latest version is {latest}, not {version}: read it again and repeat the change",
                param="version",
            )
        return await self.get(principal, prompt_id, version + 1)

    async def set_default(self, principal: Principal, prompt_id: str, version: int) -> Prompt:
        params = {**_this(principal, prompt_id), "of_version": _checked_version(version)}
        (written,) = await self._database.write((self._set_default, params))
        if not written.rows:
            raise _no_version(await self.get(principal, prompt_id), version)
        return await self.get(principal, prompt_id, version)

    async def delete(self, principal: Principal, prompt_id: str) -> None:
        """The prompt with all its versions."""
        (written,) = await self._database.write((self._delete, _this(principal, prompt_id)))
        if not written.rows:
            raise _missing(prompt_id)

    def _check(self, text: str) -> None:
        if len(text) > self._limits.chars_max:
            raise InvalidRequest(
                f"a prompt has at most {self._limits.chars_max} characters, not {len(text)}; {SECTION}.chars_max "
                "raises the limit",
                param="prompt",
            )
        if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
            raise InvalidRequest(
                "the prompt holds a character that cannot be stored (NUL or a lone surrogate)", param="prompt"
            )


def _create(prompts_max: int) -> sa.Executable:
    first = {name: new(PROMPTS.c[name]) for name in ("id", "tenant", "owner", "created_at")}
    mine = sa.select(sa.func.count()).select_from(PROMPTS).where(*_OWNED).scalar_subquery()
    one = sa.literal(1, sa.Integer)
    row = sa.select(*first.values(), one, one).where(mine < sa.literal(prompts_max, sa.BigInteger))
    names = [*first, "latest_version", "default_version"]
    return sa.insert(PROMPTS).from_select(names, row).returning(PROMPTS.c.id)


def _next_version(versions_max: int) -> sa.Executable:
    default = sa.bindparam("default", type_=sa.Boolean)
    return (
        sa.update(PROMPTS)
        .where(*_THIS, PROMPTS.c.latest_version == _VERSION, PROMPTS.c.latest_version < versions_max)
        .values(
            latest_version=PROMPTS.c.latest_version + 1,
            default_version=sa.case((default, PROMPTS.c.latest_version + 1), else_=PROMPTS.c.default_version),
        )
        .returning(PROMPTS.c.id)
    )


def _add_version(database: Database) -> sa.Executable:
    """Where the version has just been counted; if another writer has, theirs is there already and stays."""
    row = sa.select(PROMPTS.c.id, _VERSION, new(VERSIONS.c.text), new(VERSIONS.c.variables)).where(
        *_THIS, PROMPTS.c.latest_version == _VERSION
    )
    names = [column.name for column in VERSIONS.c]
    statement: sa.Executable = database.insert(VERSIONS).from_select(names, row).on_conflict_do_nothing()
    return statement


def _versions() -> sa.Select[Any]:
    return sa.select(*_RECORD).join_from(PROMPTS, VERSIONS, VERSIONS.c.prompt == PROMPTS.c.id)


def _new_text(text: str, variables: Sequence[str]) -> dict[str, str]:
    return {"new_text": text, "new_variables": msgspec.json.encode(variables).decode()}


def _this(principal: Principal, prompt_id: str) -> dict[str, str]:
    if not _ID.fullmatch(prompt_id):
        raise _missing(prompt_id)
    return {**owned(principal), "of_prompt": prompt_id}


def _checked_version(version: int) -> int:
    if not 1 <= version < 2**31 - 1:
        raise InvalidRequest(f"versions of a prompt are numbered from 1; {version} is none", param="version")
    return version


def _missing(prompt_id: str) -> NotFound:
    return NotFound(f"there is no prompt {prompt_id[:100]!r}", param="prompt_id")


def _no_version(prompt: Prompt, version: int) -> NotFound:
    return NotFound(f"the prompt {prompt.prompt_id!r} has no version {version}", param="version")


def _too_many(what: str, setting: str) -> InvalidRequest:
    return InvalidRequest(f"{what}, as many as there may be; {SECTION}.{setting} raises the limit")


def _prompt(row: Row) -> Prompt:
    prompt_id, version, text, variables, default = row
    return Prompt(
        prompt_id=prompt_id,
        prompt=text,
        version=version,
        variables=msgspec.json.decode(variables, type=list[str]),
        is_default=version == default,
    )
