"""Items of every kind and order as chat messages."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from llama_stack.agent.chat.messages import SHOWN_BELOW, chat_messages
from llama_stack.agent.chat.nodes import SUMMARY
from llama_stack.agent.chat.pairing import NO_RESULT
from llama_stack.agent.entries import Entry, Item, ModelCall
from llama_stack.agent.seals import SIGNED

IMAGE = "data:image/png;base64,AAAA"


def chat(*items: Item | Entry, **options: Any) -> list[dict[str, Any]]:
    entries = [item if isinstance(item, Entry) else Entry(item) for item in items]
    return chat_messages(entries, unseal=unseal, **options)


def unseal(kind: str, sealed: str) -> str | None:
    """What begins with `[` was signed."""
    if sealed == "foreign" or (kind == SIGNED) != sealed.startswith("["):
        return None
    return json.dumps({"text": "Hm", "blocks": json.loads(sealed)}) if kind == SIGNED else f"{kind} of {sealed}"


def user(text: Any = "Hi") -> Item:
    return {"type": "message", "role": "user", "content": text}


def assistant(text: str = "Hello", **members: Any) -> Item:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}], **members}


def function(call_id: str, name: str = "get", arguments: str = "{}", **members: Any) -> Item:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments, **members}


def output(call_id: str | None, content: Any = "done", **members: Any) -> Item:
    return {"type": "function_call_output", "call_id": call_id, "output": content, **members}


def called(*calls: tuple[str, str, str] | tuple[str, str], text: str | None = None, **members: Any) -> dict[str, Any]:
    made = [
        {
            "id": call[0],
            "type": "function",
            "function": {"name": call[1], "arguments": call[2] if len(call) > 2 else "{}"},
        }
        for call in calls
    ]
    return {"role": "assistant", "content": text, **members, "tool_calls": made}


def tool(call_id: str, content: str = "done") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


USER = said("user", "Hi")


@pytest.mark.parametrize(
    ("item", "messages"),
    [
        ({"role": "user", "content": "Hi"}, [USER]),
        (user([{"type": "input_text", "text": "Hi"}]), [USER]),
        (user([{"type": "input_text", "text": "a"}, {"type": "text", "text": "b"}]), [said("user", "a\nb")]),
        ({**user(), "role": "critic"}, [USER]),
        ({**user(), "role": "developer"}, [said("system", "Hi")]),
        (assistant("Hello", id="msg_1", status="completed", phase="final_answer"), [said("assistant", "Hello")]),
        ({**assistant(), "content": "Hello"}, [said("assistant", "Hello")]),
        ({**assistant(), "content": [{"type": "refusal", "refusal": "No."}]}, [said("assistant", "No.")]),
        (assistant(""), []),
        ({**assistant(), "content": []}, []),
        (user(""), [said("user", "")]),
        (user([]), [said("user", "")]),
    ],
)
def test_messages(item: Item, messages: list[Any]) -> None:
    assert chat(item) == messages


TEXT = base64.b64encode("grüße".encode()).decode()


@pytest.mark.parametrize(
    ("part", "made"),
    [
        ({"type": "input_image", "image_url": IMAGE}, {"type": "image_url", "image_url": {"url": IMAGE}}),
        (
            {"type": "input_image", "image_url": "https://e.x/a.png", "detail": "low"},
            {"type": "image_url", "image_url": {"url": "https://e.x/a.png", "detail": "low"}},
        ),
        (
            {"type": "input_image", "image_url": IMAGE, "detail": "original"},
            {"type": "image_url", "image_url": {"url": IMAGE, "detail": "high"}},
        ),
        ({"type": "input_image", "file_id": "file-1", "detail": "auto"}, {"type": "text", "text": "[image file-1]"}),
        ({"type": "computer_screenshot", "image_url": IMAGE}, {"type": "image_url", "image_url": {"url": IMAGE}}),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
        ),
        ({"type": "input_file", "file_data": "AA=="}, {"type": "file", "file": {"file_data": "AA=="}}),
        ({"type": "input_file", "file_id": "file-1"}, {"type": "file", "file": {"file_id": "file-1"}}),
        ({"type": "input_file", "file_url": "https://e.x/a"}, {"type": "text", "text": "[file https://e.x/a]"}),
        (
            {"type": "input_file", "filename": "a.txt", "file_data": f"data:text/plain;charset=utf-8;base64,{TEXT}"},
            {"type": "text", "text": "a.txt:\ngrüße"},
        ),
        ({"type": "input_file", "file_data": "data:application/json,%7B%7D"}, {"type": "text", "text": "{}"}),
        (
            {"type": "input_file", "file_data": "data:text/plain;base64,/w=="},
            {"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        ),
        (
            {"type": "input_text", "text": "long", "prompt_cache_breakpoint": {"mode": "explicit"}},
            {"type": "text", "text": "long", "prompt_cache_breakpoint": {"mode": "explicit"}},
        ),
        ({"type": "video_url", "video_url": {"url": "x"}}, {"type": "video_url", "video_url": {"url": "x"}}),
    ],
)
def test_parts(part: Item, made: Item) -> None:
    lead = {"type": "input_image", "image_url": "data:,"}  # so that text stays a part
    (message,) = chat(user([lead, part]))
    assert message["content"][1] == made


def test_only_the_user_has_images() -> None:
    image = {"type": "input_image", "image_url": IMAGE}
    shown = said("user", [{"type": "image_url", "image_url": {"url": IMAGE}}])
    parts = [{"type": "input_text", "text": "Look"}, image]
    assert chat({**user(), "role": "system", "content": parts}) == [said("system", "Look"), shown]
    assert chat({**assistant(), "content": parts}, user()) == [said("assistant", "Look"), shown, USER]
    assert chat({**assistant(), "content": [image]}) == [shown]


def test_instructions_come_first_and_leading_system_messages_are_one() -> None:
    system = {**user("Be kind."), "role": "developer"}
    assert chat(user(), instructions="Be brief.") == [said("system", "Be brief."), USER]
    assert chat(system, user(), system, instructions="Be brief.") == [
        said("system", "Be brief.\n\nBe kind."), USER, said("system", "Be kind."),
    ]  # fmt: skip
    assert chat(user("B"), instructions=[system, user("A")]) == [
        said("system", "Be kind."),
        said("user", "A"),
        said("user", "B"),
    ]
    assert chat(user(), instructions="") == [USER]


CALLS: dict[str, tuple[list[Item], list[Any]]] = {
    "a call and its output": ([user(), function("a"), output("a")], [USER, called(("a", "get")), tool("a")]),
    "text before the call": (
        [user(), assistant("Let me see."), function("a"), output("a"), assistant("Done.")],
        [USER, called(("a", "get"), text="Let me see."), tool("a"), said("assistant", "Done.")],
    ),
    "parallel calls, outputs in another order": (
        [function("a"), function("b"), output("b", "2"), output("a", "1")],
        [called(("a", "get"), ("b", "get")), tool("a", "1"), tool("b", "2")],
    ),
    "one round after the other": (
        [function("a"), output("a"), function("b"), output("b")],
        [called(("a", "get")), tool("a"), called(("b", "get")), tool("b")],
    ),
    "an output after other messages": (
        [function("a"), user("Wait"), assistant(), output("a"), user()],
        [called(("a", "get")), tool("a"), said("user", "Wait"), said("assistant", "Hello"), USER],
    ),
    "an output before its call": ([output("a"), function("a"), user()], [called(("a", "get")), tool("a"), USER]),
    "an id that comes again": (
        [function("a"), output("a", "1"), user(), function("a"), output("a", "2")],
        [called(("a", "get")), tool("a", "1"), USER, called(("a", "get")), tool("a", "2")],
    ),
    "an id that comes again, unanswered before": (
        [function("a"), user(), function("a"), output("a", "2")],
        [called(("a", "get")), tool("a", NO_RESULT), USER, called(("a", "get")), tool("a", "2")],
    ),
    "a call without an output": ([function("a"), user()], [called(("a", "get")), tool("a", NO_RESULT), USER]),
    "an orphan": ([user(), output("z")], [USER, called(("z", "unknown_tool")), tool("z")]),
    "an orphan that says of what": (
        [output("z", name="find", namespace="crm")],
        [called(("z", "crm__find")), tool("z")],
    ),
    "an output that comes twice": (
        [function("a"), output("a", "1"), output("a", "1"), user()],
        [called(("a", "get")), tool("a", "1"), USER],
    ),
    "a call that comes twice": (
        [function("a"), function("a"), output("a")],
        [called(("a", "get")), tool("a", NO_RESULT), called(("a", "get")), tool("a")],
    ),
    "in a namespace": ([function("a", "find", namespace="crm"), output("a")], [called(("a", "crm__find")), tool("a")]),
    "arguments that are no object": (
        [function("a", arguments='{"x'), output("a"), function("b", arguments=""), output("b")],
        [called(("a", "get", '{"arguments":"{\\"x"}')), tool("a"), called(("b", "get")), tool("b")],
    ),
    "custom": (
        [
            {"type": "custom_tool_call", "call_id": "a", "name": "patch", "input": 'x "y"'},
            {"type": "custom_tool_call_output", "call_id": "a", "output": "ok"},
        ],
        [called(("a", "patch", '{"input":"x \\"y\\""}')), tool("a", "ok")],
    ),
    "an output of parts": (
        [function("a"), output("a", [{"type": "input_text", "text": "x"}, {"type": "input_text", "text": "y"}])],
        [called(("a", "get")), tool("a", "x\ny")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("items", "messages"), CALLS.values(), ids=list(CALLS))
def test_calls(items: list[Item], messages: list[Any]) -> None:
    assert chat(*items) == messages


def test_images_in_outputs_follow_all_outputs_of_the_round() -> None:
    image = {"type": "input_image", "image_url": IMAGE}
    both = [{"type": "input_text", "text": "x"}, image]
    assert chat(function("a"), function("b"), output("a", both), output("b", [image])) == [
        called(("a", "get"), ("b", "get")), tool("a", "x"), tool("b", SHOWN_BELOW),
        said("user", [
            {"type": "text", "text": "Output of get:"}, {"type": "image_url", "image_url": {"url": IMAGE}},
            {"type": "text", "text": "Output of get:"}, {"type": "image_url", "image_url": {"url": IMAGE}},
        ]),
    ]  # fmt: skip


def test_long_ids_are_shortened_alike() -> None:
    long = "call_" + "x" * 60
    assistant_message, tool_message = chat(function(long), output(long))
    (made,) = assistant_message["tool_calls"]
    assert made["id"] == tool_message["tool_call_id"]
    assert len(made["id"]) <= 40


def server(kind: str, call_id: str, shown: Any = "found", **members: Any) -> Entry:
    together = members.pop("together", False)
    item = {"type": kind, "id": f"x_{call_id}", "status": "completed", **members}
    return Entry(item, call=ModelCall(call_id, "search", '{"q":1}'), shown=shown, together=together)


def test_what_the_server_ran() -> None:
    first = called(("a", "search", '{"q":1}'))
    second = called(("b", "search", '{"q":1}'))
    a, b = server("web_search_call", "a"), server("mcp_call", "b", [{"type": "text", "text": "found"}])
    assert chat(user(), a, b, assistant()) == [
        USER, first, tool("a", "found"), second, tool("b", "found"), said("assistant", "Hello"),
    ]  # fmt: skip
    b.together = True
    both = called(("a", "search", '{"q":1}'), ("b", "search", '{"q":1}'), text="Hm")
    assert chat(assistant("Hm"), a, b) == [both, tool("a", "found"), tool("b", "found")]
    assert chat(function("c"), a, output("c")) == [
        called(("c", "get"), ("a", "search", '{"q":1}')), tool("c"), tool("a", "found"),
    ]  # fmt: skip
    without_item = Entry({}, call=ModelCall("a", "search", '{"q":1}'), shown="The limit is reached.")
    assert chat(user(), without_item) == [USER, first, tool("a", "The limit is reached.")]


def test_items_of_servers_tools_that_a_client_sends_back() -> None:
    mcp = {"type": "mcp_call", "id": "mcp_1", "server_label": "s", "name": "add", "arguments": '{"x":1}'}
    assert chat({**mcp, "output": "2"}) == [called(("mcp_1", "add", '{"x":1}')), tool("mcp_1", "2")]
    error = {"type": "http_error", "code": 500, "message": "down"}
    assert chat({**mcp, "error": error})[1] == tool("mcp_1", "Error: down")
    assert chat({**mcp, "error": "oops", "name": "a.b"}) == [
        called(("mcp_1", "s__a_b", '{"x":1}')),
        tool("mcp_1", "Error: oops"),
    ]
    assert chat(mcp)[1] == tool("mcp_1", NO_RESULT)
    results = [{"file_id": "f", "filename": "a.md", "text": "A"}]
    files = {"type": "file_search_call", "id": "fs_1", "queries": ["q"], "status": "completed"}
    assert chat({**files, "results": results}) == [
        called(("fs_1", "file_search", '{"queries":["q"]}')),
        tool("fs_1", "a.md:\nA"),
    ]
    silent = [
        files, {"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}},
        {"type": "mcp_list_tools", "id": "m", "server_label": "s", "tools": []}, {"type": "compaction_trigger"},
        {"type": "additional_tools", "tools": []}, {"type": "item_reference", "id": "x"},
        {"type": "tool_search_call", "id": "t", "call_id": None, "arguments": {}},
        {"type": "tool_search_output", "id": "t", "call_id": None, "tools": []},
    ]  # fmt: skip
    assert chat(*silent, user()) == [USER]


def test_tool_search_of_the_caller() -> None:
    tools = [
        {"type": "function", "name": "a.b", "description": "D"},
        {"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "find"}]},
    ]
    messages = chat(
        {"type": "tool_search_call", "call_id": "a", "execution": "client", "arguments": {"query": "x"}},
        {"type": "tool_search_output", "call_id": "a", "execution": "client", "tools": tools},
    )
    assert messages[0] == called(("a", "tool_search", '{"query":"x"}'))
    names = [each["name"] for each in json.loads(messages[1]["content"])["tools"]]
    assert names[0].startswith("a_b_")
    assert names[1] == "crm__find"


REQUEST: Item = {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "s", "name": "pay", "arguments": "{}"}
YES: Item = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}
NO: Item = {**YES, "approve": False, "reason": "too dear"}
RAN: Item = {
    "type": "mcp_call", "id": "mcp_1", "server_label": "s", "name": "pay", "arguments": "{}", "output": "paid",
    "approval_request_id": "mcpr_1",
}  # fmt: skip


def test_approvals() -> None:
    asked = called(("mcpr_1", "pay"))
    denied = "The user did not approve this call: too dear"
    assert chat(REQUEST, YES, RAN, user()) == [asked, tool("mcpr_1", "paid"), USER]
    assert chat(REQUEST, NO) == [asked, tool("mcpr_1", denied)]
    assert chat(REQUEST, user()) == [asked, tool("mcpr_1", NO_RESULT), USER]
    assert chat(YES, RAN) == [called(("mcp_1", "pay")), tool("mcp_1", "paid")]
    assert chat(NO, user()) == [USER]


def test_approvals_of_this_server() -> None:
    call = ModelCall("c", "pay", '{"x":1}')
    asked = called(("c", "pay", '{"x":1}'))
    request, ran = Entry(REQUEST, call=call), Entry(RAN, call=call, shown="paid")
    later = server("mcp_call", "d")
    assert chat(request, YES, ran, later) == [
        asked, tool("c", "paid"), called(("d", "search", '{"q":1}')), tool("d", "found"),
    ]  # fmt: skip
    # The loop tells the model alone of a denial; the caller's verdict is among the items too.
    assert chat(request, NO, Entry({}, call=call, shown="Denied.")) == [asked, tool("c", "Denied.")]


def test_reasoning() -> None:
    thought = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]}
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "x"}
    summary = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "S"}]}
    answer = {"role": "assistant", "content": "Hello", "reasoning_content": "Hm"}
    assert chat(thought, assistant()) == [answer]
    assert chat(thought, function("a"), output("a"), thought, assistant()) == [
        called(("a", "get"), reasoning_content="Hm"), tool("a"), answer,
    ]  # fmt: skip
    assert chat(thought, sealed, summary, assistant())[0]["reasoning_content"] == "Hm\nreasoning of x"
    assert chat({**sealed, "encrypted_content": "foreign"}, assistant()) == [said("assistant", "Hello")]
    assert chat(summary, assistant()) == [said("assistant", "Hello")]
    assert chat(thought, user(), assistant()) == [USER, said("assistant", "Hello")]
    assert chat(thought, server("web_search_call", "a"))[0]["reasoning_content"] == "Hm"
    two_turns = [user(), thought, assistant(), user(), thought, assistant()]
    assert [m.get("reasoning_content") for m in chat(*two_turns)] == [None, "Hm", None, "Hm"]
    current = chat(*two_turns, reasoning_context="current_turn")
    assert [m.get("reasoning_content") for m in current] == [None, None, None, "Hm"]


def test_signed_thoughts_go_back_with_the_message_that_they_led_to() -> None:
    block = {"type": "thinking", "thinking": "Hm", "signature": "s"}
    signed = {"type": "reasoning", "summary": [], "encrypted_content": json.dumps([block])}
    other = {"type": "reasoning", "summary": [], "encrypted_content": json.dumps([{**block, "signature": "t"}])}
    assert chat(signed, function("a"), output("a"), assistant()) == [
        called(("a", "get"), reasoning_content="Hm", thinking_blocks=[block]), tool("a"), said("assistant", "Hello"),
    ]  # fmt: skip
    of_two_tries = chat(other, signed, assistant())
    assert of_two_tries[0]["thinking_blocks"] == [block]
    assert of_two_tries[0]["reasoning_content"] == "Hm\nHm"


def test_compaction() -> None:
    compaction = {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}
    assert chat(compaction, user()) == [said("user", f"{SUMMARY}compaction of x"), USER]
    assert chat({**compaction, "encrypted_content": "foreign"}, user()) == [USER]


def test_kinds_that_nobody_here_runs() -> None:
    shell = {"type": "shell_call", "id": "s", "call_id": "a", "status": "completed", "action": {"commands": ["ls"]}}
    shell_output = {"type": "shell_call_output", "call_id": "a", "output": [{"stdout": "x", "stderr": ""}]}
    assert chat(shell, shell_output) == [
        called(("a", "shell", '{"action":{"commands":["ls"]}}')), tool("a", '{"stdout":"x","stderr":""}'),
    ]  # fmt: skip
    local = {"type": "local_shell_call", "call_id": "a", "action": {"type": "exec", "command": ["ls"]}}
    assert chat(local, {"type": "local_shell_call_output", "id": "a", "output": "x"})[1] == tool("a", "x")
    computer = {"type": "computer_call", "call_id": "a", "action": {"type": "wait"}}
    screenshot = {"type": "computer_screenshot", "image_url": IMAGE}
    assert chat(computer, {"type": "computer_call_output", "call_id": "a", "output": screenshot})[2]["content"] == [
        {"type": "text", "text": "Output of computer:"},
        {"type": "image_url", "image_url": {"url": IMAGE}},
    ]
    code = {"type": "code_interpreter_call", "id": "ci", "code": "1+1", "outputs": [{"type": "logs", "logs": "2"}]}
    assert chat(code) == [
        called(("ci", "code_interpreter", '{"code":"1+1"}')), tool("ci", '{"type":"logs","logs":"2"}'),
    ]  # fmt: skip
    drawn = chat({"type": "image_generation_call", "id": "ig", "result": "AAAA"})
    assert drawn[1:] == [
        tool("ig", SHOWN_BELOW),
        said(
            "user",
            [
                {"type": "text", "text": "Output of image_generation:"},
                {"type": "image_url", "image_url": {"url": IMAGE}},
            ],
        ),
    ]
    program = {"type": "program", "call_id": "p", "code": "x()", "fingerprint": "f"}
    assert chat(program, {"type": "program_output", "call_id": "p", "result": "1"})[1] == tool("p", "1")
    assert chat({"type": "agent_message", "role": "assistant", "content": "Hello"}) == [said("assistant", "Hello")]
    assert chat({"type": "of_tomorrow", "id": "n", "encrypted_content": "x"}, user()) == [USER]
    assert chat({"type": "note", "id": "n", "text": "x", "result": 1}) == [
        said("user", '{"type":"note","text":"x","result":1}')
    ]


def test_many_calls_of_one_id_cost_no_more_than_others() -> None:
    """Time is not measured: this would take minutes if every output looked through every call."""
    messages = chat(*(function("a") for _ in range(20_000)), *(output("a") for _ in range(20_000)))
    assert len(messages) == 40_000
