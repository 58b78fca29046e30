"""Every documented request property is honoured here, forwarded, or refused by its name: shown over the whole server.

`request_values.py` has what is forwarded, with values of every documented type, kind and literal; `honoured_here.py`
what the server acts on itself. Neither may lack anything that the contract states.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.contract.honoured_here import HONOURED, Honoured
from tests.contract.request_values import CHAT, COMPLETIONS, EMBEDDINGS, Forwarded
from tests.contract.site import CHAT_PATH, MINIMAL, PROVIDERS, Site
from tests.support.contract import wanted

pytestmark = pytest.mark.anyio

FORWARDED: Mapping[tuple[str, str], Mapping[str, Forwarded]] = {
    ("post", "/chat/completions"): CHAT,
    ("post", "/completions"): COMPLETIONS,
    ("post", "/embeddings"): EMBEDDINGS,
}


# --- the tables have all that the contract states


Shown = tuple[set[str], dict[str, set[str]], dict[str, set[str]]]


def look(place: str, value: Any, shown: Shown) -> None:
    """Note the places within a value, their JSON types and the literals there, as the contract's list writes them."""
    places, types, literals = shown
    places.add(place)
    types.setdefault(place, set()).update(json_types(value))
    if isinstance(value, str):
        literals.setdefault(place, set()).add(value)
    elif isinstance(value, dict):
        for name, member in value.items():
            look(f"{place}.{name}", member, shown)
    elif isinstance(value, list):
        for item in value:
            look(f"{place}[]", item, shown)


def json_types(value: Any) -> set[str]:
    names = {str: {"string"}, bool: {"boolean"}, int: {"integer", "number"}, float: {"number"}, list: {"array"}}
    return {"object"} if isinstance(value, dict) else names.get(type(value), set())


def shown_by_the_tables() -> dict[tuple[str, str], Shown]:
    found: dict[tuple[str, str], Shown] = {}
    tables: list[tuple[tuple[str, str], Mapping[str, Forwarded | Honoured]]] = [*FORWARDED.items(), *HONOURED.items()]
    for operation, table in tables:
        shown = found.setdefault(operation, ({">"}, {">": {"object"}}, {}))
        for name, fate in table.items():
            for value in fate.values:
                look(name if name.startswith("?") else f">.{name}", value, shown)
    return found


def test_no_documented_property_kind_or_literal_is_without_a_fate() -> None:
    shown, lacking = shown_by_the_tables(), []
    for want in wanted():
        if want.place[0] not in ">?":
            continue
        places, types, literals = shown.get((want.method, want.path), (set(), {}, {}))
        name = f"{want.method.upper()} {want.path} {want.place}"
        if want.place not in places:
            lacking.append(name)
            continue
        lacking += [f"{name} as {kind}" for kind in want.types - types[want.place] - {"integer"}]
        lacking += [f"{name} = {value}" for value in want.values - literals.get(want.place, set())]
    assert lacking == []


def each_of(tables: Mapping[tuple[str, str], Mapping[str, Any]]) -> pytest.MarkDecorator:
    """A mark: once for each property of each operation."""
    found = [(operation, name) for operation, table in tables.items() for name in table]
    names = [f"{method} {path} {name}" for (method, path), name in found]
    return pytest.mark.parametrize(("operation", "name"), found, ids=names)


# --- OpenAI's own dialect: all goes on as it came


@each_of(FORWARDED)
async def test_forwarded_as_it_came(site: Site, operation: tuple[str, str], name: str) -> None:
    path, property_ = operation[1], FORWARDED[operation][name]
    for value in property_.values:
        body = {**MINIMAL[path], **property_.beside, name: value}
        reply = await site.ask(path, body)
        assert reply.status_code == 200, reply.text
        assert site.sent() == {**body, "model": f"{path.rpartition('/')[2]}-there"}


@each_of(HONOURED)
async def test_honoured_here(site: Site, operation: tuple[str, str], name: str) -> None:
    property_ = HONOURED[operation][name]
    for value in property_.values:
        await property_.shown(site, operation[1], value)


async def test_what_the_contract_does_not_know_is_forwarded_too(site: Site) -> None:
    for path, minimal in MINIMAL.items():
        reply = await site.ask(path, {**minimal, "of_tomorrow": {"deep": [1, None]}})
        assert reply.status_code == 200
        assert site.sent()["of_tomorrow"] == {"deep": [1, None]}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CHAT_PATH, {"tool_choice": "auto"}, "tool_choice"),
        (CHAT_PATH, {"top_logprobs": 2}, "top_logprobs"),
        (CHAT_PATH, {"stream_options": {"include_usage": True}}, "stream_options"),
        ("/completions", {"stream_options": {"include_usage": True}}, "stream_options"),
    ],
)
async def test_what_contradicts_itself_is_refused_by_name(
    site: Site, path: str, body: dict[str, Any], param: str
) -> None:
    reply = await site.ask(path, {**MINIMAL[path], **body})
    assert (reply.status_code, reply.json()["error"]["param"], site.asked) == (400, param, 0)


# --- other dialects: what they cannot honour is refused, the rest goes on

REFUSED: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "groq": {"logit_bias": ({},), "logprobs": (False,), "n": (1,), "top_logprobs": (0,)},
    "vllm": {
        "audio": (), "function_call": (), "functions": (), "modalities": (["text"],), "moderation": (),
        "web_search_options": (),
    },
}  # fmt: skip
"""What a provider refuses, each with the values that ask for nothing and are left out instead."""


def refused_in(provider: str, body: Mapping[str, Any]) -> str | None:
    """The property for which a provider must refuse a body."""
    for name, harmless in REFUSED[provider].items():
        if name in body and not any(body[name] == value and type(body[name]) is type(value) for value in harmless):
            return name
    for position, message in enumerate(body["messages"]):
        if provider == "groq" and "name" in message:
            return f"messages[{position}].name"
    return None


@pytest.mark.parametrize("provider", sorted(REFUSED))
@pytest.mark.parametrize("name", sorted(CHAT))
async def test_another_dialect_refuses_by_name_or_forwards(site: Site, provider: str, name: str) -> None:
    for value in CHAT[name].values:
        body = {**MINIMAL[CHAT_PATH], **CHAT[name].beside, name: value}
        reply = await site.ask(CHAT_PATH, body, provider=provider)
        param = refused_in(provider, body)
        if param is None:
            left_out = REFUSED[provider].keys() & body.keys()
            expected = {member: said for member, said in body.items() if member not in left_out}
            assert reply.status_code == 200, reply.text
            assert site.sent() == {**expected, "model": "completions-there"}
        else:
            error = reply.json()["error"]
            assert (reply.status_code, error["code"]) == (400, "unsupported_parameter")
            assert (error["param"], site.asked) == (param, 0)
            assert param.rpartition(".")[2].rstrip("s") in error["message"]


def test_the_refusals_name_documented_properties() -> None:
    assert {name for table in REFUSED.values() for name in table} <= CHAT.keys()
    assert REFUSED.keys() < PROVIDERS.keys()
