"""Whatever JSON comes, the answer is a translation or one of our errors: types of blocks and tools are open."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from llama_stack.dialects.anthropic.chunks import ChatChunks
from llama_stack.dialects.anthropic.events import MessageEvents
from llama_stack.dialects.anthropic.from_chat import message_of
from llama_stack.dialects.anthropic.from_messages import completion_of
from llama_stack.dialects.anthropic.to_chat import chat_request
from llama_stack_api.errors import InvalidRequest

Json = dict[str, Any]

MEMBERS = (
    "type", "text", "content", "source", "id", "name", "input", "tool_use_id", "thinking", "signature", "data", "url",
    "index", "delta", "function", "arguments", "tool_calls", "reasoning_content", "thinking_blocks", "usage", "title",
    "message", "content_block", "partial_json", "choices", "finish_reason", "input_schema", "citations", "annotations",
)  # fmt: skip
KINDS = (
    "text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking", "web_search_tool_result",
    "search_result", "message_start", "content_block_start", "content_block_delta", "content_block_stop", "text_delta",
    "message_delta", "input_json_delta", "citations_delta", "base64", "url", "content", "tool", "function", "bash_1",
)  # fmt: skip
scalars = st.one_of(st.none(), st.booleans(), st.integers(-1, 2), st.floats(allow_nan=False), st.sampled_from(KINDS))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    max_leaves=8,
)
typed = st.builds(
    lambda kind, members: {**members, "type": kind},
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(MEMBERS), values, max_size=5),
)
lists = st.lists(typed, max_size=4)


@settings(max_examples=35, deadline=None)
@given(lists, lists, values, typed)
def test_requests(said: list[Json], heard: list[Json], system: Any, choice: Json) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": said}, {"content": heard}]
    request = {"model": "m", "messages": messages, "system": system, "tools": said, "tool_choice": choice}
    try:
        chat = chat_request({**request, "output_format": choice})
    except InvalidRequest:
        return
    assert chat["messages"]


@settings(max_examples=35, deadline=None)
@given(lists, typed)
@example([{"type": "content_block_delta", "index": []}, {"type": "content_block_start", "index": [1]}], {})
def test_replies(blocks: list[Json], said: Json) -> None:
    assert completion_of({"content": blocks, "usage": said}, created=1)["object"] == "chat.completion"
    assert message_of({"choices": [{"message": said}], "usage": said}, model="m")["type"] == "message"
    chunks, events = ChatChunks(created=1, include_usage=True), MessageEvents(model="m")
    for each in (*blocks, said):
        chunks.feed(each)
        events.feed({"choices": [{"delta": each}], "usage": each})
    assert chunks.finish()[-1]["usage"]["total_tokens"] >= 0
    assert events.finish()[-1] == {"type": "message_stop"}
