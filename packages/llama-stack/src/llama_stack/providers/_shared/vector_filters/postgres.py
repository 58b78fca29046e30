"""Filters as SQL over a column of type jsonb."""

from __future__ import annotations

import msgspec

from llama_stack_api.filters import ComparisonFilter, CompoundFilter, Filter

_ORDERS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def condition(wanted: Filter, column: str, params: list[object]) -> str:
    """An expression that is never NULL. What it compares with is appended to `params` and named by its place there."""
    if isinstance(wanted, CompoundFilter):
        joined = f" {wanted.type.upper()} ".join(condition(each, column, params) for each in wanted.filters)
        return f"({joined})"
    return _comparison(wanted, column, params)


def _comparison(wanted: ComparisonFilter, column: str, params: list[object]) -> str:
    match wanted.type:
        case "eq":
            return _has(wanted.key, wanted.value, column, params)
        case "ne":
            return f"NOT {_has(wanted.key, wanted.value, column, params)}"
        case "in":
            return _has_any(wanted, column, params)
        case "nin":
            return f"NOT {_has_any(wanted, column, params)}"
    return _order(wanted, column, params)


def _has(key: str, value: object, column: str, params: list[object]) -> str:
    """Containment: strict in its types, 1 and 1.0 are one number, and an index can serve it."""
    return f"({column} @> {_bind(params, _json({key: value}))}::jsonb)"


def _has_any(wanted: ComparisonFilter, column: str, params: list[object]) -> str:
    choices = wanted.value if isinstance(wanted.value, list) else [wanted.value]
    key = _bind(params, wanted.key)
    values = _bind(params, [_json(value) for value in choices])
    return f"coalesce({column} -> {key}::text = ANY({values}::text[]::jsonb[]), false)"


def _order(wanted: ComparisonFilter, column: str, params: list[object]) -> str:
    value, operator = wanted.value, _ORDERS[wanted.type]
    if isinstance(value, bool | list):
        return "false"
    found = f"{column} -> {_bind(params, wanted.key)}::text"
    if isinstance(value, str):
        # The collation "C" orders by code point.
        order = f"({found} #>> '{{}}') COLLATE \"C\" {operator} {_bind(params, value)}::text"
        return f"coalesce(jsonb_typeof({found}) = 'string' AND {order}, false)"
    # As jsonb, where a number's order with one of another kind is defined: there is no cast that could fail.
    order = f"{found} {operator} {_bind(params, _json(value))}::jsonb"
    return f"coalesce(jsonb_typeof({found}) = 'number' AND {order}, false)"


def _bind(params: list[object], value: object) -> str:
    params.append(value)
    return f"${len(params)}"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
