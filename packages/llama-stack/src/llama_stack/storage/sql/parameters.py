"""Names of the parameters that the statements of many stores share: whose a row is, and what its columns get."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from llama_stack_api.principal import Principal


def is_owned(table: sa.FromClause) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """Whether a row is theirs whom `owned` names. Every statement that a client asks for has it: what is another's does
    not exist."""
    return table.c.tenant == sa.bindparam("of_tenant"), table.c.owner == sa.bindparam("of_owner")


def owned(principal: Principal) -> dict[str, Any]:
    """The parameters of `is_owned`."""
    return {"of_tenant": principal.tenant, "of_owner": principal.id}


def new(column: sa.ColumnElement[Any]) -> sa.BindParameter[Any]:
    """What the column gets: the parameter `new_` and its name."""
    return sa.bindparam(f"new_{column.key}", type_=column.type)


def new_row(table: sa.FromClause) -> dict[str, sa.BindParameter[Any]]:
    """`new` of every column, by its name."""
    return {column.key: new(column) for column in table.c}
