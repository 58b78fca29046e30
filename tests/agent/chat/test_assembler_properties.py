"""However a provider cuts its stream, the items are the same and the events are in order."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from llama_stack.agent.chat.assembler import Assembler
from llama_stack.agent.chat.custom_input import InputReader, whole_input
from llama_stack.agent.citations import Citations
from llama_stack.agent.entries import Event, Item, Source
from llama_stack_api.errors import ProviderStreamBroken
from tests.agent.chat.stream import Json, bound, call, calls, chunk, done_items, judge, sse, usage

TOOLS = bound({"type": "function", "name": "get"}, {"type": "custom", "name": "patch"})
WORDS = st.text(alphabet=st.sampled_from('ab 😀ä\n"\\[]()https://e.x1【】'), max_size=40)
JSON = st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(max_size=8), max_size=3)
CALL = st.tuples(st.just("get"), JSON.map(json.dumps)) | st.tuples(
    st.just("patch"), st.tuples(WORDS, st.booleans()).map(lambda t: json.dumps({"input": t[0]}, ensure_ascii=t[1]))
)
REASONS = st.sampled_from(["stop", "tool_calls"])


@st.composite
def pieces(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=6)))
    ends = [0, *cuts, len(text)]
    return [text[a:b] for a, b in pairwise(ends) if text[a:b]]


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, str, list[tuple[str, str]], list[Json]]:
    """A thought, a text, calls; and one way to send them."""
    thought, text, made = draw(WORDS), draw(WORDS), draw(st.lists(CALL, max_size=3))
    chunks = [chunk({"reasoning_content": piece}) for piece in draw(pieces(thought))]
    chunks += [chunk({"content": piece}) for piece in draw(pieces(text))]
    queues = [
        [call(number, name, "", id=f"id{number}"), *(call(number, None, piece) for piece in draw(pieces(arguments)))]
        for number, (name, arguments) in enumerate(made)
    ]
    begun = 0
    while any(queues):
        # Calls begin in the order of their numbers; their pieces come in any turns.
        ready = [queue for number, queue in enumerate(queues) if queue and number <= begun]
        queue = draw(st.sampled_from(ready))
        begun = max(begun, queues.index(queue) + 1)
        chunks.append(calls(queue.pop(0)))
    return thought, text, made, [*chunks, chunk({}, draw(REASONS)), usage()]


@st.composite
def blocks(draw: st.DrawFn, chunks: list[Json]) -> list[bytes]:
    cuts = sorted(draw(st.sets(st.integers(0, len(chunks)), max_size=5)))
    ends = [0, *cuts, len(chunks)]
    return [sse(*chunks[a:b]) for a, b in pairwise(ends)]


def without_ids(item: Item) -> Item:
    return {name: value for name, value in item.items() if name != "id"}


@settings(max_examples=80, deadline=None)
@given(data=st.data(), coalesce=st.booleans(), summarize=st.booleans())
def test_items_are_those_that_were_said(data: st.DataObject, coalesce: bool, summarize: bool) -> None:
    thought, text, made, chunks = data.draw(streams())
    assembler = Assembler(TOOLS, coalesce=coalesce, summarize=summarize)
    events: list[Event] = []
    for block in data.draw(blocks(chunks)):
        events += assembler.feed(block)
        if assembler.pending_summary is not None:
            events += assembler.summary("In short")
    events += assembler.finish()
    if assembler.pending_summary is not None:
        events += assembler.summary("In short")
    judge(events)
    generated = assembler.generated
    items = [entry.item for entry in generated.entries]
    assert items == sorted(done_items(events), key=lambda item: items.index(item))
    assert [item["status"] for item in items] == ["completed"] * len(items)
    functions = [(item["name"], item.get("arguments", item.get("input"))) for item in items if "call_id" in item]
    assert functions == [
        (name, arguments if name == "get" else json.loads(arguments)["input"]) for name, arguments in made
    ]
    said = [part["text"] for item in items if item["type"] == "message" for part in item["content"]]
    assert said == ([text] if text.strip() or (not made and not thought.strip()) else [])
    thoughts = [part["text"] for item in items if item["type"] == "reasoning" for part in item["content"]]
    assert "".join(thoughts).strip() == thought.strip()
    assert generated.usage is not None


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_cut_anywhere_all_items_are_closed(data: st.DataObject) -> None:
    *_, chunks = data.draw(streams())
    assembler = Assembler(TOOLS)
    events = assembler.feed(sse(*chunks[: data.draw(st.integers(0, len(chunks) - 2))]))
    events += assembler.cut()
    judge(events)
    completed = [item for item in done_items(events) if item["status"] == "completed"]
    assert sorted(item["id"] for item in completed) == sorted(e.item["id"] for e in assembler.generated.entries)
    assert assembler.generated.calls == []


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_citations_do_not_depend_on_the_cuts(data: st.DataObject) -> None:
    source = Source(title="E", url="https://e.x")
    text = data.draw(WORDS) + "[E](https://e.x)" + data.draw(WORDS)

    def parts(pieces: list[str]) -> Any:
        assembler = Assembler({}, citations=lambda: Citations([source]))
        events = [event for piece in pieces for event in assembler.feed(sse(chunk({"content": piece})))]
        events += assembler.feed(sse(chunk({}, "stop"))) + assembler.finish()
        judge(events)
        return [without_ids(entry.item) for entry in assembler.generated.entries]

    assert parts(data.draw(pieces(text))) == parts([text])


@settings(max_examples=200, deadline=None)
@given(data=st.data(), text=st.text(max_size=30), ascii=st.booleans(), spaces=st.sampled_from(["", " ", "\n "]))
def test_input_of_custom_tools_is_read_while_it_comes(data: st.DataObject, text: str, ascii: bool, spaces: str) -> None:
    written = (
        f"{spaces}{{{spaces}{json.dumps('input')}{spaces}:{spaces}{json.dumps(text, ensure_ascii=ascii)}{spaces}}}"
    )
    reader = InputReader()
    assert "".join(reader.feed(piece) for piece in data.draw(pieces(written))) == text
    assert whole_input(written) == text


@settings(max_examples=200, deadline=None)
@given(
    data=st.data(), rest=st.text(alphabet=st.sampled_from('ab"\\u0d8c3{}: inputDE\n'), max_size=30), begun=st.booleans()
)
def test_what_is_read_of_rubbish_does_not_depend_on_the_cuts(data: st.DataObject, rest: str, begun: bool) -> None:
    written = '{"input":"' + rest if begun else rest
    whole, cut = InputReader(), InputReader()
    assert "".join(cut.feed(piece) for piece in data.draw(pieces(written))) == whole.feed(written)
    assert cut.begun == whole.begun


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "text", "content"]), inner),
    max_leaves=4,
)


def perhaps(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(usual, usual, usual, ANYTHING)


def loose(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return perhaps(st.fixed_dictionaries({}, optional={name: perhaps(usual) for name, usual in members.items()}))


TOKEN = loose(token=WORDS, logprob=st.floats(-9, 0), bytes=st.just([97]), top_logprobs=st.just([{"token": "a"}]))
PART = loose(type=st.sampled_from(["text", "thinking"]), text=WORDS, thinking=st.lists(loose(text=WORDS), max_size=2))
FUNCTION = loose(name=st.sampled_from(["get", "patch"]), arguments=JSON.map(json.dumps))
DELTA = loose(
    content=WORDS | st.lists(PART, max_size=2),
    reasoning=WORDS,
    refusal=WORDS,
    tool_calls=st.lists(loose(index=st.integers(0, 2), id=WORDS, function=FUNCTION), max_size=2),
)
CHOICE = loose(
    index=st.just(0),
    delta=DELTA,
    finish_reason=st.sampled_from(["stop", "length"]),
    logprobs=loose(content=st.lists(TOKEN, max_size=2)),
)
COUNTS = loose(prompt_tokens=st.integers(0, 9), prompt_tokens_details=loose(cached_tokens=st.integers(0, 9)))
CHUNKS = st.lists(loose(choices=st.lists(CHOICE, max_size=2), usage=COUNTS, model=WORDS), max_size=4)


@settings(max_examples=300, deadline=None)
@given(chunks=CHUNKS)
def test_whatever_a_provider_sends_is_read_or_breaks_the_stream(chunks: list[Any]) -> None:
    assembler = Assembler(TOOLS)
    events: list[Event] = []
    try:
        for each in chunks:
            events += assembler.feed(sse(each))
        events += assembler.finish()
    except ProviderStreamBroken:
        events += assembler.cut()
    judge(events)
    msgspec.json.encode(assembler.generated)
