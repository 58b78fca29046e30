"""The documented request properties that the server itself acts on, each with a demonstration that it does."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from tests.contract.site import CHAT_PATH, MINIMAL, Site, model_for

Show: TypeAlias = Callable[[Site, str, Any], Awaitable[None]]
"""Asserts, at an operation's path, that a value of the property has its effect."""
STORED = f"/v1{CHAT_PATH}"
WORDS = ("first", "second", "third")


@dataclass(frozen=True, slots=True)
class Honoured:
    shown: Show
    values: tuple[Any, ...]


# --- create


async def model_is_routed(site: Site, path: str, value: str) -> None:
    reply = await site.ask(path, {**MINIMAL[path], "model": value})
    assert site.sent() == {**MINIMAL[path], "model": f"{path.rpartition('/')[2]}-there"}
    assert (reply.json()["model"], reply.headers["x-llama-stack-provider"]) == (value, "openai")


async def stream_is_streamed(site: Site, path: str, value: bool) -> None:
    reply = await site.ask(path, {**MINIMAL[path], "stream": value})
    assert site.sent()["stream"] is value
    if value:
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert len(events(reply.content)) > 2
    else:
        assert reply.headers["content-type"] == "application/json"
        assert site.sent() == {**MINIMAL[path], "model": site.sent()["model"], "stream": False}
        assert len(reply.json()["choices"]) == 1


async def usage_is_streamed_if_asked_for(site: Site, path: str, value: dict[str, bool]) -> None:
    """The provider is asked for it in any case, to meter it; other options go on as they came."""
    reply = await site.ask(path, {**MINIMAL[path], "stream": True, "stream_options": value})
    assert site.sent()["stream_options"] == {**value, "include_usage": True}
    usages = [event["usage"] for event in events(reply.content) if event.get("usage")]
    assert len(usages) == value.get("include_usage", False)


async def completion_is_stored(site: Site, path: str, value: bool) -> None:
    """Here, so that no provider is asked to."""
    reply = await site.ask(path, {**MINIMAL[path], "store": value})
    stored = await site.http.get(f"{STORED}/{reply.json()['id']}")
    assert "store" not in site.sent()
    if value:
        assert stored.json()["choices"] == reply.json()["choices"]
    else:
        assert stored.status_code == 404


async def metadata_is_kept_or_forwarded(site: Site, path: str, value: dict[str, str]) -> None:
    await site.ask(path, {**MINIMAL[path], "metadata": value})
    assert site.sent()["metadata"] == value
    for stream in (False, True):
        reply = await site.ask(path, {**MINIMAL[path], "metadata": value, "store": True, "stream": stream})
        assert "metadata" not in site.sent()
        identifier = events(reply.content)[0]["id"] if stream else reply.json()["id"]
        assert (await site.http.get(f"{STORED}/{identifier}")).json()["metadata"] == value


def events(stream: bytes) -> list[Any]:
    blocks = stream.decode().split("\n\n")
    assert blocks[-2:] == ["data: [DONE]", ""]
    return [msgspec.json.decode(block.removeprefix("data: ")) for block in blocks[:-2]]


# --- read and change what is stored


async def keep(site: Site, *, run: str | None = None, provider: str = "openai", **body: Any) -> str:
    """The id of a new stored completion."""
    kept = {**MINIMAL[CHAT_PATH], "store": True, "metadata": {"run": run} if run else {}, **body}
    reply = await site.ask(CHAT_PATH, kept, provider=provider)
    return str(reply.json()["id"])


async def three(site: Site) -> tuple[str, dict[str, str]]:
    """A run of its own, and the stored completions of it by their word, in the order of their creation."""
    run = uuid.uuid4().hex
    return run, {word: await keep(site, run=run) for word in WORDS}


async def listed(site: Site, **query: Any) -> tuple[list[str], bool]:
    page = (await site.http.get(STORED, params=query)).json()
    return [each["id"] for each in page["data"]], page["has_more"]


async def list_goes_on_after(site: Site, path: str, value: str) -> None:
    run, ids = await three(site)
    assert await listed(site, **{"metadata[run]": run, "after": ids[value]}) == ([ids["third"]], False)


async def list_is_limited(site: Site, path: str, value: int) -> None:
    run, ids = await three(site)
    assert await listed(site, **{"metadata[run]": run, "limit": value}) == (list(ids.values())[:value], value < 3)


async def list_is_ordered(site: Site, path: str, value: str) -> None:
    run, ids = await three(site)
    expected = list(ids.values()) if value == "asc" else list(reversed(ids.values()))
    assert await listed(site, **{"metadata[run]": run, "order": value}) == (expected, False)


async def list_is_of_a_model(site: Site, path: str, value: str) -> None:
    run = uuid.uuid4().hex
    ids = {provider: await keep(site, run=run, provider=provider) for provider in ("openai", "vllm")}
    wanted = ids[value.partition("/")[0]]
    assert await listed(site, **{"metadata[run]": run, "model": value}) == ([wanted], False)


async def list_has_all_pairs(site: Site, path: str, value: dict[str, str]) -> None:
    run = uuid.uuid4().hex
    for metadata in ({}, dict(list(value.items())[:1]), value):
        last = await keep(site, metadata={"run": run, **metadata})
    pairs = {f"metadata[{key}]": text for key, text in {"run": run, **value}.items()}
    assert await listed(site, **pairs) == ([last], False)


async def metadata_is_changed(site: Site, path: str, value: dict[str, str]) -> None:
    identifier = await keep(site, metadata={"before": "x"})
    changed = await site.http.post(f"{STORED}/{identifier}", json={"metadata": value})
    stored = await site.http.get(f"{STORED}/{identifier}")
    assert changed.json()["metadata"] == stored.json()["metadata"] == value


async def said(site: Site, identifier: str, **query: Any) -> list[tuple[str, str]]:
    page = (await site.http.get(f"{STORED}/{identifier}/messages", params=query)).json()
    return [(each["id"], each["content"]) for each in page["data"]]


async def conversation(site: Site) -> tuple[str, dict[str, str]]:
    """A stored completion that answered three messages, and the ids of these by their word."""
    identifier = await keep(site, messages=[{"role": "user", "content": word} for word in WORDS])
    ids = {word: message for message, word in await said(site, identifier)}
    assert tuple(ids) == WORDS
    return identifier, ids


async def messages_go_on_after(site: Site, path: str, value: str) -> None:
    identifier, ids = await conversation(site)
    assert await said(site, identifier, after=ids[value]) == [(ids["third"], "third")]


async def messages_are_limited(site: Site, path: str, value: int) -> None:
    identifier, _ = await conversation(site)
    assert [word for _, word in await said(site, identifier, limit=value)] == list(WORDS[:value])


async def messages_are_ordered(site: Site, path: str, value: str) -> None:
    identifier, _ = await conversation(site)
    expected = WORDS if value == "asc" else WORDS[::-1]
    assert tuple(word for _, word in await said(site, identifier, order=value)) == expected


STREAM_OPTIONS = (
    {"include_usage": True},
    {"include_usage": False, "include_obfuscation": False},
    {"include_obfuscation": True},
)

HONOURED: Mapping[tuple[str, str], Mapping[str, Honoured]] = {
    ("post", CHAT_PATH): {
        "model": Honoured(model_is_routed, (model_for(CHAT_PATH),)),
        "stream": Honoured(stream_is_streamed, (True, False)),
        "stream_options": Honoured(usage_is_streamed_if_asked_for, STREAM_OPTIONS),
        "store": Honoured(completion_is_stored, (True, False)),
        "metadata": Honoured(metadata_is_kept_or_forwarded, ({"topic": "a", "step": "1"},)),
    },
    ("post", "/completions"): {
        "model": Honoured(model_is_routed, (model_for("/completions"),)),
        "stream": Honoured(stream_is_streamed, (True, False)),
        "stream_options": Honoured(usage_is_streamed_if_asked_for, STREAM_OPTIONS),
    },
    ("post", "/embeddings"): {"model": Honoured(model_is_routed, (model_for("/embeddings"),))},
    ("get", CHAT_PATH): {
        "?after": Honoured(list_goes_on_after, ("second",)),
        "?limit": Honoured(list_is_limited, (2, 3)),
        "?metadata": Honoured(list_has_all_pairs, ({"topic": "a", "step": "1"},)),
        "?model": Honoured(list_is_of_a_model, (model_for(CHAT_PATH), model_for(CHAT_PATH, "vllm"))),
        "?order": Honoured(list_is_ordered, ("asc", "desc")),
    },
    ("post", f"{CHAT_PATH}/{{completion_id}}"): {"metadata": Honoured(metadata_is_changed, ({"after": "y"}, {}))},
    ("get", f"{CHAT_PATH}/{{completion_id}}/messages"): {
        "?after": Honoured(messages_go_on_after, ("second",)),
        "?limit": Honoured(messages_are_limited, (2,)),
        "?order": Honoured(messages_are_ordered, ("asc", "desc")),
    },
}
