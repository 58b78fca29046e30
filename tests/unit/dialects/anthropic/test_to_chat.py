"""A Messages request as a chat completion request, feature by feature."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack.dialects.anthropic.to_chat import chat_request
from llama_stack_api.errors import InvalidRequest

Json = dict[str, Any]

PNG = {"type": "base64", "media_type": "image/png", "data": "QUJD"}
PNG_URL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
FILE = {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,QUJD"}}


def messages_of(*messages: Json, **members: Any) -> list[Json]:
    found: list[Json] = chat_request({"model": "m", "max_tokens": 9, "messages": list(messages), **members})["messages"]
    return found


def user(*content: Any) -> Json:
    return {"role": "user", "content": [text(c) if isinstance(c, str) else c for c in content]}


def assistant(*content: Any) -> Json:
    return {**user(*content), "role": "assistant"}


def text(said: str, **more: Any) -> Json:
    return {"type": "text", "text": said, **more}


def use(call_id: str, name: str = "look", kind: str = "tool_use", **given: Any) -> Json:
    return {"type": kind, "id": call_id, "name": name, "input": given}


def result(call_id: str, content: Any = "seen", kind: str = "tool_result", **more: Any) -> Json:
    return {"type": kind, "tool_use_id": call_id, "content": content, **more}


def call(call_id: str, name: str = "look", arguments: str = "{}") -> Json:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool(call_id: str, content: str = "seen") -> Json:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def said_by_user(*content: Any) -> Any:
    return messages_of(user(*content))[0]["content"]


def test_system_as_text_or_blocks_and_in_mid_conversation() -> None:
    blocks = [text("Be", cache_control={"type": "ephemeral"}), text("brief.")]
    assert messages_of(user("Hi"), system="Be brief.")[0] == {"role": "system", "content": "Be brief."}
    assert messages_of(user("Hi"), system=blocks)[0] == {"role": "system", "content": "Be\nbrief."}
    between = messages_of(user("Hi"), assistant("Ho"), {"role": "system", "content": "Now in French."}, user("Go"))
    assert [message["role"] for message in between] == ["user", "assistant", "system", "user"]


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        ({"type": "image", "source": PNG, "cache_control": {"type": "ephemeral"}}, [PNG_URL]),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
            [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}],
        ),
        ({"type": "document", "source": {**PNG, "media_type": "application/pdf"}}, [FILE]),
        (
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}, "context": "Of 1999."},
            [text("Of 1999."), {"type": "file", "file": {"file_id": "file_1"}}],
        ),
        (
            {
                "type": "document",
                "title": "T",
                "source": {"type": "content", "content": [{"type": "image", "source": PNG}]},
            },
            [text('<document title="T">'), PNG_URL, text("</document>")],
        ),
    ],
)
def test_media(block: Json, parts: list[Json]) -> None:
    assert said_by_user("Look:", block) == [text("Look:"), *parts]


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (
            {
                "type": "document",
                "title": "T",
                "context": "C",
                "citations": {"enabled": True},
                "source": {"type": "text", "media_type": "text/plain", "data": "It is."},
            },
            '<document title="T" context="C">\nIt is.\n</document>',
        ),
        (
            {"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": "SXQgaXMu"}},
            "<document>\nIt is.\n</document>",
        ),
        (
            {"type": "search_result", "title": "T", "source": "https://x.test", "content": [text("Found.")]},
            '<search_result title="T" source="https://x.test">\nFound.\n</search_result>',
        ),
        ({"type": "container_upload", "file_id": "file_1"}, "[file file_1]"),
        ({"type": "hologram", "depth": 3, "cache_control": {}}, '{"type":"hologram","depth":3}'),
    ],
)
def test_blocks_that_are_told_as_text(block: Json, told: str) -> None:
    assert said_by_user(block) == told


def test_a_document_that_would_have_to_be_fetched_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="does not fetch"):
        said_by_user({"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}})


def test_parallel_results_in_another_order_mixed_with_text() -> None:
    assert messages_of(
        user("Look."),
        assistant("Well.", use("a", q=1), use("b")),
        user("First", result("b", [text("one"), text("two")]), "then", result("a", is_error=True)),
    )[1:] == [
        {"role": "assistant", "content": "Well.", "tool_calls": [call("a", arguments='{"q":1}'), call("b")]},
        tool("a", "Error: seen"),
        tool("b", "one\ntwo"),
        {"role": "user", "content": "First\nthen"},
    ]


def test_images_of_results_go_behind_them() -> None:
    picture = {"type": "image", "source": PNG}
    found = messages_of(user("Look."), assistant(use("a"), use("b")), user(result("a", [picture]), result("b"), "And?"))
    assert found[2:] == [
        tool("a", "The output is in the next message of the user."),
        tool("b"),
        {"role": "user", "content": [text("Output of look:"), PNG_URL, text("And?")]},
    ]


def test_calls_and_results_that_do_not_match() -> None:
    assert messages_of(user("Hi"), assistant(use("a")), user("Never mind."))[2] == tool(
        "a", "There is no output of this call."
    )
    lone = messages_of(user("Hi"), assistant("Ho"), user(result("x"), "So?"))
    assert lone[1:] == [
        {"role": "assistant", "content": "Ho", "tool_calls": [call("x", "unknown_tool")]},
        tool("x"),
        {"role": "user", "content": "So?"},
    ]
    repeated = messages_of(user("Hi"), assistant(use("a")), user(result("a")), user(result("a", "again"), "So?"))
    assert [message["content"] for message in repeated[2:]] == ["seen", "So?"]


def test_ids_that_come_again_in_a_later_round() -> None:
    found = messages_of(
        user("Hi"), assistant(use("a")), user(result("a", "1")), assistant(use("a")), user(result("a", "2"))
    )
    assert [message["content"] for message in found if message["role"] == "tool"] == ["1", "2"]


def test_ids_longer_than_openai_takes_are_shortened_alike() -> None:
    found = messages_of(user("Hi"), assistant(use("x" * 64)), user(result("x" * 64)))
    assert len(found[2]["tool_call_id"]) <= 40
    assert found[2]["tool_call_id"] == found[1]["tool_calls"][0]["id"]


def test_thinking() -> None:
    signed = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    hidden = {"type": "redacted_thinking", "data": "eA=="}
    assert messages_of(user("Hi"), assistant(signed, hidden, "Ho"))[1] == {
        "role": "assistant",
        "content": "Ho",
        "reasoning_content": "Hm.",
        "thinking_blocks": [signed, hidden],
    }
    unsigned = messages_of(user("Hi"), assistant({**signed, "signature": ""}, "Ho"))[1]
    assert unsigned == {"role": "assistant", "content": "Ho", "reasoning_content": "Hm."}


def test_tools_that_a_server_ran_are_calls_with_results() -> None:
    page = {"type": "web_search_result", "title": "T", "url": "https://x.test", "encrypted_content": "e"}
    fetched = {"type": "web_fetch_result", "url": "https://x.test", "content": {"type": "document", "source": {}}}
    fetched["content"] = {"type": "document", "source": {"type": "text", "data": "All of it."}}
    found = messages_of(
        user("Search."),
        assistant(
            "I search.",
            use("s", "web_search", "server_tool_use", query="q"),
            result("s", [page], "web_search_tool_result"),
            use("f", "web_fetch", "server_tool_use"),
            result("f", fetched, "web_fetch_tool_result"),
            use("e", "web_search", "server_tool_use"),
            result(
                "e", {"type": "web_search_tool_result_error", "error_code": "unavailable"}, "web_search_tool_result"
            ),
            use("m", "ask", "mcp_tool_use"),
            result("m", [text("yes")], "mcp_tool_result", is_error=False),
            "It is so.",
        ),
        user("Thanks."),
    )
    assert [call["function"]["name"] for call in found[1]["tool_calls"]] == ["web_search"]
    assert [message["content"] for message in found if message["role"] == "tool"] == [
        "T\nhttps://x.test",
        "https://x.test\n<document>\nAll of it.\n</document>",
        "Error: unavailable",
        "yes",
    ]
    assert found[1]["content"] == "I search."
    assert found[-2:] == [{"role": "assistant", "content": "It is so."}, {"role": "user", "content": "Thanks."}]


def chat(**members: Any) -> Json:
    request = {"model": "m", "max_tokens": 9, "messages": [user("Hi")], **members}
    return {name: value for name, value in chat_request(request).items() if name not in ("messages", "model")}


LOOK = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}, "strict": True, "type": "custom"}
OFFERED = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}, "strict": True}


@pytest.mark.parametrize(
    ("choice", "members"),
    [
        (None, {}),
        ({"type": "auto"}, {}),
        ({"type": "auto", "disable_parallel_tool_use": True}, {"parallel_tool_calls": False}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
            {"tool_choice": {"type": "function", "function": {"name": "look"}}, "parallel_tool_calls": False},
        ),
    ],
)
def test_tools_and_tool_choice(choice: Json | None, members: Json) -> None:
    offered = {"tools": [{"type": "function", "function": OFFERED}]}
    assert chat(tools=[LOOK], tool_choice=choice) == {"max_completion_tokens": 9, **offered, **members}


def test_a_choice_of_a_tool_that_is_not_there() -> None:
    with pytest.raises(InvalidRequest, match="'other'"):
        chat(tools=[LOOK], tool_choice={"type": "tool", "name": "other"})
    with pytest.raises(InvalidRequest, match="'some'"):
        chat(tools=[LOOK], tool_choice={"type": "some"})


def test_tools_that_are_known_by_their_type() -> None:
    kinds = ["bash_20250124", "text_editor_20250728", "memory_20250818", "computer_20250124", "web_search_20260209"]
    tools = [{"type": kind, "name": kind} for kind in (*kinds, "web_fetch_20250910")]
    left_out = [{"type": "code_execution_20250825", "name": "x"}, {"type": "mcp_toolset", "mcp_server_name": "y"}]
    offered = chat(tools=[*tools, *left_out])["tools"]
    assert [tool["function"]["name"] for tool in offered] == [*kinds, "web_fetch_20250910"]
    assert all(tool["function"]["description"] and tool["function"]["parameters"]["properties"] for tool in offered)
    assert "tools" not in chat(tools=left_out, tool_choice={"type": "any"})
    assert "tool_choice" not in chat(tools=[*tools, *left_out], tool_choice={"type": "tool", "name": "x"})


def test_deferred_tools_are_offered_once_they_are_loaded() -> None:
    late = {"name": "late", "input_schema": {"type": "object"}, "defer_loading": True}

    def offered(*tools: Json, **members: Any) -> list[str]:
        return [tool["function"]["name"] for tool in chat(tools=list(tools), **members)["tools"]]

    assert offered(LOOK, late) == ["look"]
    assert offered(LOOK, late, {"type": "tool_search_tool_regex_20251119", "name": "search"}) == ["look", "late"]
    loaded = [user("Hi"), assistant(use("a")), user(result("a", [{"type": "tool_reference", "tool_name": "late"}]))]
    assert offered(LOOK, late, messages=loaded) == ["look", "late"]


@pytest.mark.parametrize(
    ("members", "effort"),
    [
        ({}, None),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, "none"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, "xhigh"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 31999}}, "high"),
        ({"thinking": {"type": "enabled", "budget_tokens": 31999}, "output_config": {"effort": "low"}}, "low"),
    ],
)
def test_thinking_is_reasoning_effort(members: Json, effort: str | None) -> None:
    assert chat(**members).get("reasoning_effort") == effort


@pytest.mark.parametrize("place", ["output_format", "output_config"])
def test_structured_output(place: str) -> None:
    loose = {"type": "object", "properties": {"a": {"type": "string"}}, "required": [], "additionalProperties": False}
    strict = {**loose, "required": ["a"]}
    for schema, more in ((loose, {}), (strict, {"strict": True})):
        form: Json = {"type": "json_schema", "schema": schema}
        asked = chat(**{place: form if place == "output_format" else {"format": form}})
        wanted = {"name": "output", "schema": schema, **more}
        assert asked["response_format"] == {"type": "json_schema", "json_schema": wanted}


def test_parameters() -> None:
    assert chat(
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop_sequences=["END"],
        metadata={"user_id": "u"},
        service_tier="standard_only",
        stream=True,
        context_management={"edits": []},
        cache_control={"type": "ephemeral"},
    ) == {
        "max_completion_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "stop": ["END"],
        "user": "u",
        "service_tier": "default",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_long_user_id_is_a_digest() -> None:
    first, again, other = (chat(metadata={"user_id": "x" * 99 + end})["user"] for end in "aab")
    assert len(first) == 64
    assert first == again != other


def test_nothing_to_answer() -> None:
    with pytest.raises(InvalidRequest, match="nothing"):
        messages_of(user(""), system="Be brief.")
