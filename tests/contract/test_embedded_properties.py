"""What the model inside the server does with each documented property: it acts on it, or refuses it by its name."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from tests.contract.honoured_here import HONOURED
from tests.contract.request_values import CHAT, COMPLETIONS, EMBEDDINGS, FUNCTION, PARTS, Json
from tests.contract.site import CHAT_PATH, EMBEDDED, MINIMAL, Site

pytestmark = pytest.mark.anyio

TEXT_PATH = "/completions"
TOKENS = 10
Effect = Callable[[Site, str], Awaitable[None]]


async def answer(site: Site, path: str, **body: Any) -> Json:
    """The reply to a short question, without chance unless `body` says otherwise."""
    asked = {**MINIMAL[path], "temperature": 0, "max_tokens": TOKENS, **body}
    reply = await site.ask(path, {name: value for name, value in asked.items() if value is not ...}, provider=EMBEDDED)
    assert reply.status_code == 200, reply.text
    found: Json = reply.json()
    return found


async def plain(site: Site, path: str) -> str:
    """The text without any of the properties."""
    if path not in site.plain:
        site.plain[path] = text_of(await answer(site, path))
    return site.plain[path]


def text_of(reply: Json, index: int = 0) -> str:
    choice = reply["choices"][index]
    return str(choice["text"] if "text" in choice else choice["message"]["content"])


async def refusal(site: Site, path: str, **body: Any) -> str:
    """The `param` of the refusal that a request must get."""
    reply = await site.ask(path, {**MINIMAL[path], **body}, provider=EMBEDDED)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (400, "unsupported_parameter")
    return str(error["param"])


# --- effects


def bounds_the_tokens(name: str) -> Effect:
    async def shown(site: Site, path: str) -> None:
        reply = await answer(site, path, **{"max_tokens": ..., name: 3})
        assert reply["usage"]["completion_tokens"] == 3
        assert reply["choices"][0]["finish_reason"] == "length"

    return shown


def changes_the_answer(**options: Any) -> Effect:
    async def shown(site: Site, path: str) -> None:
        assert text_of(await answer(site, path, **options)) != await plain(site, path)

    return shown


def changes_a_longer_answer(**options: Any) -> Effect:
    """Of what shows only where words come again."""
    asked: Mapping[str, Json] = {
        CHAT_PATH: {"messages": [{"role": "user", "content": "Tell me about cats and dogs."}], "max_tokens": 48},
        TEXT_PATH: {"prompt": "Cats and dogs are", "max_tokens": 48},
    }

    async def shown(site: Site, path: str) -> None:
        without = text_of(await answer(site, path, **asked[path]))
        assert text_of(await answer(site, path, **asked[path], **options)) != without

    return shown


async def seed_makes_chance_repeatable(site: Site, path: str) -> None:
    first, again, other = [
        text_of(await answer(site, path, temperature=2, seed=seed, max_tokens=4)) for seed in (7, 7, 8)
    ]
    assert first == again != other


async def small_top_p_leaves_no_choice(site: Site, path: str) -> None:
    assert text_of(await answer(site, path, temperature=2, seed=7, top_p=0.0001)) == await plain(site, path)


async def bias_decides(site: Site, path: str) -> None:
    """One token outweighs all others, so the answer is that token twice."""
    biased = text_of(await answer(site, path, logit_bias={"253": 100}, max_tokens=2))
    half = len(biased) // 2
    assert biased[:half] == biased[half:] != ""
    assert not (await plain(site, path)).startswith(biased)


async def stop_ends_it(site: Site, path: str) -> None:
    text = await plain(site, path)
    stop = text.split()[2]
    stopped = await answer(site, path, stop=[stop])
    assert text_of(stopped) == text[: text.index(stop)]
    assert stopped["choices"][0]["finish_reason"] == "stop"


async def n_answers_come(site: Site, path: str) -> None:
    reply = await answer(site, path, n=2, temperature=2, seed=7, max_tokens=4)
    assert [choice["index"] for choice in reply["choices"]] == [0, 1]
    assert text_of(reply, 0) != text_of(reply, 1)


async def logprobs_are_given(site: Site, path: str) -> None:
    reply = await answer(site, path, logprobs=True, top_logprobs=3, max_tokens=2)
    assert [len(token["top_logprobs"]) for token in reply["choices"][0]["logprobs"]["content"]] == [3, 3]


async def format_is_kept(site: Site, path: str) -> None:
    schema = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    said = json.loads(text_of(await answer(site, path, response_format=form, max_tokens=32)))
    assert isinstance(said["yes"], bool)


async def tools_need_a_template(site: Site, path: str) -> None:
    """The built-in model has none for them, so all that only makes sense with tools is refused with them."""
    tools = [{"type": "function", "function": FUNCTION}]
    for more in ({}, {"tool_choice": "required"}, {"parallel_tool_calls": False}):
        assert await refusal(site, path, tools=tools, **more) == "tools"
    assert text_of(await answer(site, path, tools=tools, tool_choice="none")) == await plain(site, path)


async def input_is_read(site: Site, path: str) -> None:
    name = next(iter(MINIMAL[path]))
    other = "Count: one, two," if name == "prompt" else [{"role": "user", "content": "Count: one, two,"}]
    assert text_of(await answer(site, path, **{name: other})) != await plain(site, path)
    if name == "messages":
        assert await refusal(site, path, messages=PARTS) == "messages[0].content[1]"


SAMPLING: Mapping[str, Effect] = {
    "frequency_penalty": changes_the_answer(frequency_penalty=-2),
    "logit_bias": bias_decides,
    "max_tokens": bounds_the_tokens("max_tokens"),
    "n": n_answers_come,
    "presence_penalty": changes_a_longer_answer(presence_penalty=-2),
    "seed": seed_makes_chance_repeatable,
    "stop": stop_ends_it,
    "temperature": changes_the_answer(temperature=2, seed=7),
    "top_p": small_top_p_leaves_no_choice,
}
EFFECTS: Mapping[str, Mapping[str, Effect]] = {
    CHAT_PATH: {
        **SAMPLING,
        "logprobs": logprobs_are_given,
        "max_completion_tokens": bounds_the_tokens("max_completion_tokens"),
        "messages": input_is_read,
        "parallel_tool_calls": tools_need_a_template,
        "response_format": format_is_kept,
        "tool_choice": tools_need_a_template,
        "tools": tools_need_a_template,
        "top_logprobs": logprobs_are_given,
    },
    TEXT_PATH: {**SAMPLING, "prompt": input_is_read},
}
REFUSED: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    CHAT_PATH: {
        "audio": (), "function_call": ("none",), "functions": (), "modalities": (["text"],), "moderation": (),
        "prediction": (), "reasoning_effort": ("none",), "service_tier": ("auto", "default"),
        "verbosity": ("medium",), "web_search_options": (),
    },
    TEXT_PATH: {"best_of": (), "echo": (False,), "logprobs": (), "suffix": ()},
}  # fmt: skip
"""By path: what is refused, and the values of it that ask for nothing."""
HINTS: Mapping[str, set[str]] = {
    CHAT_PATH: {"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "user"},
    TEXT_PATH: {"user"},
}
"""What describes the caller or a cache, and by its definition changes no answer."""
VALUES = {CHAT_PATH: CHAT, TEXT_PATH: COMPLETIONS}


def each(tables: Mapping[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("path", "name"), [(path, name) for path in tables for name in sorted(tables[path])])


@pytest.mark.parametrize("path", [CHAT_PATH, TEXT_PATH])
def test_every_documented_property_has_one_fate(path: str) -> None:
    fates = [*EFFECTS[path], *REFUSED[path], *HINTS[path]]
    assert sorted(fates) == sorted(VALUES[path])
    assert set(HONOURED["post", path]).isdisjoint(fates)


@each(EFFECTS)
async def test_it_has_its_effect(site: Site, path: str, name: str) -> None:
    await EFFECTS[path][name](site, path)


@each(REFUSED)
async def test_it_is_refused_by_its_name(site: Site, path: str, name: str) -> None:
    property_, harmless = VALUES[path][name], REFUSED[path][name]
    beside = {member: said for member, said in property_.beside.items() if member not in REFUSED[path]}
    for value in property_.values:
        if value not in harmless:
            assert await refusal(site, path, **beside, **{name: value}) == name
    for value in harmless:
        assert text_of(await answer(site, path, **{name: value}, max_tokens=1))


@each(HINTS)
async def test_it_changes_no_answer(site: Site, path: str, name: str) -> None:
    for value in VALUES[path][name].values:
        assert text_of(await answer(site, path, **{name: value})) == await plain(site, path)


EMBEDDINGS_FATES: Mapping[str, Mapping[str, Any]] = {
    "dimensions": {"refused": [4], "taken": [384]},
    "encoding_format": {"refused": [], "taken": ["float", "base64"]},
    "input": {"refused": [[1, 2, 3], [[1, 2], [3]]], "taken": ["a text", ["one", "two"]]},
    "user": {"refused": [], "taken": ["someone"]},
}
"""Of the embedding model, by value: it makes one length of vector, and its tokens are its own."""


async def test_embeddings_have_their_fates(site: Site) -> None:
    assert EMBEDDINGS_FATES.keys() == EMBEDDINGS.keys()
    first: dict[str, Any] = {}
    for name, fates in EMBEDDINGS_FATES.items():
        assert [value for value in EMBEDDINGS[name].values if value not in [*fates["refused"], *fates["taken"]]] == []
        for value in fates["refused"]:
            assert await embedding_refusal(site, **{name: value}) == name
        for value in fates["taken"]:
            reply = await site.ask("/embeddings", {"input": "a text", name: value}, provider=EMBEDDED)
            data = reply.json()["data"]
            vector = vector_of(data[0]["embedding"])
            assert isinstance(data[0]["embedding"], str) is (value == "base64")
            assert len(data) == (2 if isinstance(value, list) else 1)
            if not isinstance(value, list):
                assert vector == pytest.approx(first.setdefault("a text", vector), abs=1e-6)


def vector_of(said: str | list[float]) -> list[float]:
    if isinstance(said, list):
        return said
    raw = base64.b64decode(said)
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


async def embedding_refusal(site: Site, **body: Any) -> str:
    """The `param` of the 400 that a request for embeddings must get."""
    reply = await site.ask("/embeddings", {"input": "a text", **body}, provider=EMBEDDED)
    assert reply.status_code == 400
    return str(reply.json()["error"]["param"])


async def test_streams_and_stored_completions_are_those_of_any_model(site: Site) -> None:
    streamed = await site.ask(
        CHAT_PATH,
        {**MINIMAL[CHAT_PATH], "max_tokens": 2, "stream": True, "stream_options": {"include_usage": True}},
        provider=EMBEDDED,
    )
    events = [json.loads(event.removeprefix("data: ")) for event in streamed.text.split("\n\n")[:-2]]
    assert [event["usage"]["completion_tokens"] for event in events if event.get("usage")] == [2]
    kept = await answer(site, CHAT_PATH, store=True, metadata={"topic": "a"})
    stored = (await site.http.get(f"/v1{CHAT_PATH}/{kept['id']}")).json()
    assert (stored["choices"], stored["metadata"]) == (kept["choices"], {"topic": "a"})


async def test_what_nobody_knows_is_refused_too(site: Site) -> None:
    for path in (CHAT_PATH, TEXT_PATH):
        assert await refusal(site, path, of_tomorrow=1) == "of_tomorrow"
