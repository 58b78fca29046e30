"""Generated conversations, as requests of either API."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

texts = st.text(alphabet='ab é"\\\n{', min_size=1, max_size=8).filter(str.strip)
names = st.sampled_from(["look", "read_file", "mcp__x"])
inputs = st.dictionaries(st.sampled_from(["a", "ü"]), st.one_of(texts, st.integers(0, 9), st.none()), max_size=2)
data = st.sampled_from(["QUJD", "aGVsbG8="])
signed = st.one_of(
    st.builds(lambda t, s: {"type": "thinking", "thinking": t, "signature": s}, texts, data),
    st.builds(lambda d: {"type": "redacted_thinking", "data": d}, data),
)
images = st.one_of(data.map(lambda d: f"data:image/png;base64,{d}"), st.just("https://example.test/a.png"))
schemas = st.just({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False})


@st.composite
def turns(draw: st.DrawFn) -> list[Json]:
    """Rounds of: the user asks, the assistant thinks, says and calls, the results come. The user has the last word."""
    found, calls = [], 0
    for _ in range(draw(st.integers(1, 3))):
        found.append({"asks": draw(texts), "images": draw(st.lists(images, max_size=2)), "pdf": draw(st.booleans())})
        for _ in range(draw(st.integers(0, 2))):
            called = []
            for _ in range(draw(st.integers(1, 3))):
                result = {
                    "text": draw(texts),
                    "images": draw(st.lists(images, max_size=1)),
                    "error": draw(st.booleans()),
                }
                called.append((f"toolu_{calls}", draw(names), draw(inputs), result))
                calls += 1
            found.append(
                {"signed": draw(st.lists(signed, max_size=2)), "says": draw(st.none() | texts), "calls": called}
            )
        found.append({"signed": draw(st.lists(signed, max_size=1)), "says": draw(texts), "calls": []})
    return [*found, {"asks": draw(texts), "images": [], "pdf": False}]


@st.composite
def chat_requests(draw: st.DrawFn) -> Json:
    messages: list[Json] = [{"role": "system", "content": draw(texts)}] if draw(st.booleans()) else []
    for turn in draw(turns()):
        if "asks" in turn:
            messages.append({"role": "user", "content": _chat_content(turn)})
            continue
        message: Json = {"role": "assistant", "content": turn["says"]}
        if turn["signed"]:
            message["thinking_blocks"] = turn["signed"]
        calls = [(call_id, {"name": name, "arguments": json.dumps(given)}) for call_id, name, given, _ in turn["calls"]]
        if calls:
            message["tool_calls"] = [{"id": i, "type": "function", "function": f} for i, f in calls]
        messages.append(message)
        for call_id, _, _, result in turn["calls"]:
            messages.append({"role": "tool", "tool_call_id": call_id, "content": result["text"]})
    request = {"model": "claude-opus-4-6", "messages": messages, **draw(chat_parameters())}
    if draw(st.booleans()):
        messages.insert(0, {"role": "developer", "content": [{"type": "text", "text": draw(texts)}]})
    return request


def _chat_content(turn: Json) -> Any:
    if not turn["images"] and not turn["pdf"]:
        return turn["asks"]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in turn["images"]]
    file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"}
    files = [{"type": "file", "file": file}] if turn["pdf"] else []
    return [{"type": "text", "text": turn["asks"]}, *parts, *files]


def chat_parameters() -> st.SearchStrategy[Json]:
    function = st.fixed_dictionaries(
        {"name": st.just("look"), "parameters": schemas}, optional={"description": texts, "strict": st.just(True)}
    )
    forced = {"type": "function", "function": {"name": "look"}}
    with_tools = st.fixed_dictionaries(
        {"tools": function.map(lambda f: [{"type": "function", "function": f}])},
        optional={
            "tool_choice": st.sampled_from(["none", "required", forced]),
        },
    )
    format_ = schemas.map(lambda s: {"type": "json_schema", "json_schema": {"name": "x", "schema": s}})
    rest = st.fixed_dictionaries(
        {"max_completion_tokens": st.integers(2000, 9000)},
        optional={
            "stop": st.lists(texts, min_size=1, max_size=2),
            "user": texts,
            "top_k": st.integers(1, 9),
            "reasoning_effort": st.sampled_from(["none", "low", "medium", "high", "max"]),
            "response_format": format_,
        },
    )
    return st.builds(lambda a, b: {**a, **b}, st.one_of(st.just({}), with_tools), rest)


@st.composite
def messages_requests(draw: st.DrawFn) -> Json:
    messages: list[Json] = []
    for turn in draw(turns()):
        if "asks" in turn:
            pdf = {"type": "base64", "media_type": "application/pdf", "data": "QUJD"}
            document = [{"type": "document", "title": "a.pdf", "source": pdf}] if turn["pdf"] else []
            images_ = [_image(url) for url in turn["images"]]
            messages.append({"role": "user", "content": [{"type": "text", "text": turn["asks"]}, *images_, *document]})
            continue
        said = [{"type": "text", "text": turn["says"]}] if turn["says"] else []
        uses = [{"type": "tool_use", "id": i, "name": name, "input": given} for i, name, given, _ in turn["calls"]]
        messages.append({"role": "assistant", "content": [*turn["signed"], *said, *uses]})
        if turn["calls"]:
            results = [_result(call[0], call[3]) for call in draw(st.permutations(turn["calls"]))]
            messages.append({"role": "user", "content": results})
        if draw(st.booleans()) and turn["calls"]:
            messages.append({"role": "system", "content": draw(texts)})
    request = {"model": "claude-opus-4-6", "messages": messages, **draw(messages_parameters())}
    if draw(st.booleans()):
        request["system"] = draw(
            st.one_of(texts, st.lists(texts.map(lambda t: {"type": "text", "text": t}), max_size=2))
        )
    return request


def _image(url: str) -> Json:
    if not url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": url}}
    encoded = url.partition(",")[2]
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": encoded}}


def _result(call_id: str, result: Json) -> Json:
    content = [{"type": "text", "text": result["text"]}, *(_image(url) for url in result["images"])]
    block = {"type": "tool_result", "tool_use_id": call_id, "content": content if result["images"] else result["text"]}
    return {**block, "is_error": True} if result["error"] else block


def messages_parameters() -> st.SearchStrategy[Json]:
    tool = st.fixed_dictionaries({"name": st.just("look"), "input_schema": schemas}, optional={"description": texts})
    choice = st.one_of(
        st.just({"type": "none"}),
        st.builds(
            lambda kind, disabled: {**kind, "disable_parallel_tool_use": True} if disabled else kind,
            st.sampled_from([{"type": "any"}, {"type": "tool", "name": "look"}]),
            st.booleans(),
        ),
    )
    with_tools = st.fixed_dictionaries(
        {"tools": st.lists(tool, min_size=1, max_size=1)}, optional={"tool_choice": choice}
    )
    config = st.fixed_dictionaries(
        {},
        optional={
            "effort": st.sampled_from(["low", "high", "max"]),
            "format": schemas.map(lambda s: {"type": "json_schema", "schema": s}),
        },
    )
    rest = st.fixed_dictionaries(
        {"max_tokens": st.integers(1, 9000)},
        optional={
            "stop_sequences": st.lists(texts, min_size=1, max_size=2),
            "metadata": texts.map(lambda user: {"user_id": user}),
            "top_k": st.integers(1, 9),
            "output_config": config,
        },
    )
    return st.builds(lambda a, b: {**a, **b}, st.one_of(st.just({}), with_tools), rest)
