"""What providers stream, as the events and items of a response."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llama_stack.agent.chat.assembler import Assembler
from llama_stack.agent.citations import Citations
from llama_stack.agent.entries import ModelCall, Source
from llama_stack.agent.tools.base import BoundTool, CallerTool
from llama_stack.agent.tools.tool_search import ToolSearchTools
from llama_stack.agent.turn import Usage
from llama_stack_api.errors import ProviderStreamBroken
from tests.agent.chat.stream import DONE, bound, call, calls, chunk, done_items, judge, kinds, run, sse, texts, usage

MESSAGE = ["output_item.added", "content_part.added"]
END_OF_TEXT = ["output_text.done", "content_part.done", "output_item.done"]
GET = {"type": "function", "name": "get"}


def test_text() -> None:
    assembler = Assembler({})
    events = run(
        assembler,
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        usage(prompt_tokens_details={"cached_tokens": 4}, completion_tokens_details={"reasoning_tokens": 2}),
    )
    assert kinds(events) == [*MESSAGE, "output_text.delta", "output_text.delta", *END_OF_TEXT]
    part = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    message_id = events[0]["item"]["id"]
    assert events[0]["item"] == {
        "id": message_id,
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    }
    assert events[1]["part"] == {**part, "text": ""}
    assert [event.get("delta") for event in events[2:4]] == ["Hel", "lo"]
    assert events[4]["text"] == "Hello"
    assert events[5]["part"] == part
    generated = assembler.generated
    assert [entry.item for entry in generated.entries] == [
        {"id": message_id, "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    ]
    assert message_id.startswith("msg_")
    assert (generated.finish_reason, generated.model) == ("stop", "m")
    assert generated.usage == Usage(input_tokens=9, cached_tokens=4, output_tokens=3, reasoning_tokens=2)


def test_reasoning_then_text_then_call() -> None:
    assembler = Assembler(bound(GET))
    events = run(
        assembler,
        chunk({"reasoning_content": "Hm", "content": None}),
        chunk({"reasoning_content": "m."}),
        chunk({"content": "Let me see."}),
        calls(call(0, "get", "", id="call_a")),
        calls(call(0, None, '{"x":')),
        calls(call(0, None, "1}")),
        chunk({}, "tool_calls"),
    )
    assert kinds(events) == [
        *MESSAGE, "reasoning_text.delta", "reasoning_text.delta", "reasoning_text.done", "content_part.done",
        "output_item.done",
        *MESSAGE, "output_text.delta", *END_OF_TEXT,
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done",
    ]  # fmt: skip
    thought, message, function = (entry.item for entry in assembler.generated.entries)
    assert thought["content"] == [{"type": "reasoning_text", "text": "Hmm."}]
    assert (thought["summary"], thought["id"][:3]) == ([], "rs_")
    assert "encrypted_content" not in thought
    assert list(texts([message])) == ["Let me see."]
    assert function == {
        "id": function["id"], "type": "function_call", "status": "completed", "call_id": "call_a", "name": "get",
        "arguments": '{"x":1}',
    }  # fmt: skip
    assert function["id"].startswith("fc_")
    assert [event["item"].get("arguments") for event in events if event["type"].endswith("added") and "item" in event][
        -1
    ] == ""
    assert events[-2]["name"] == "get"


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning": "Hm."},
        {"reasoning": "Hm.", "reasoning_content": "Hm."},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
        {"content": [{"type": "thinking", "thinking": "Hm."}]},
    ],
)
def test_every_form_of_reasoning(delta: dict[str, Any]) -> None:
    assembler = Assembler({}, seal=lambda text, blocks: f"sealed {text}{blocks}")
    run(assembler, chunk(delta), chunk({"content": [{"type": "text", "text": "Yes"}]}), chunk({}, "stop"))
    thought, message = (entry.item for entry in assembler.generated.entries)
    assert list(texts([thought, message])) == ["Hm.", "Yes"]
    assert thought["encrypted_content"] == "sealed Hm.[]"


def test_what_was_signed_is_sealed_with_its_thought() -> None:
    assembler = Assembler({}, seal=lambda text, blocks: json.dumps([text, blocks]))
    block = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    run(
        assembler,
        chunk({"reasoning_content": "H"}),
        chunk({"reasoning_content": "m."}),
        chunk({"thinking_blocks": [{"index": 0, **block}]}),
        chunk({"content": "Yes"}),
        chunk({"thinking_blocks": [{"index": 1, "type": "redacted_thinking", "data": "d"}]}),
        chunk({}, "stop"),
    )
    first, message, second = (entry.item for entry in assembler.generated.entries)
    assert json.loads(first["encrypted_content"]) == ["Hm.", [block]]
    assert list(texts([message])) == ["Yes"]
    assert second["content"] == []
    assert json.loads(second["encrypted_content"]) == ["", [{"type": "redacted_thinking", "data": "d"}]]


def test_without_a_seal_a_signature_makes_no_item() -> None:
    assembler = Assembler({})
    run(assembler, chunk({"thinking_blocks": [{"type": "redacted_thinking", "data": "d"}]}), chunk({"content": "Yes"}))
    assert [entry.item["type"] for entry in assembler.generated.entries] == ["message"]


def test_a_thought_and_text_may_come_together() -> None:
    assembler = Assembler({})
    run(assembler, chunk({"reasoning_content": "Hm.", "content": "Yes"}), chunk({}, "stop"))
    assert list(texts([entry.item for entry in assembler.generated.entries])) == ["Hm.", "Yes"]


def test_refusal() -> None:
    assembler = Assembler({})
    events = run(assembler, chunk({"refusal": "I can"}), chunk({"refusal": "not."}), chunk({}, "stop"))
    assert kinds(events) == [
        *MESSAGE, "refusal.delta", "refusal.delta", "refusal.done", "content_part.done", "output_item.done",
    ]  # fmt: skip
    assert done_items(events)[0]["content"] == [{"type": "refusal", "refusal": "I cannot."}]


CALLS = {
    "numbered, in turns": [
        calls(call(0, "get", "", id="a"), call(1, "put", "", id="b")),
        calls(call(1, None, '{"k"')), calls(call(0, None, '{"x":')),
        calls(call(1, None, ":2}")), calls(call(0, None, "1}")),
    ],
    "numbered, one after the other": [
        calls(call(0, "get", "", id="a")), calls(call(0, None, '{"x":1}')),
        calls(call(1, "put", "", id="b")), calls(call(1, None, '{"k":2}')),
    ],
    "whole, in one chunk": [calls(call(0, "get", '{"x":1}', id="a"), call(1, "put", '{"k":2}', id="b"))],
    "without numbers": [calls(call(None, "get", '{"x":1}', id="a"), call(None, "put", '{"k":2}', id="b"))],
    "all with the same number": [calls(call(0, "get", '{"x":1}', id="a")), calls(call(0, "put", '{"k":2}', id="b"))],
    "name and id in every piece": [
        calls(call(0, "get", '{"x"', id="a")), calls(call(0, "get", ":1}", id="a")),
        calls(call(1, "put", '{"k"', id="b")), calls(call(1, "put", ":2}", id="b")), calls(call(1, "put", "", id="b")),
    ],
    "arguments as objects": [calls(call(0, "get", {"x": 1}, id="a"), call(1, "put", {"k": 2}, id="b"))],
    "the name after the arguments": [
        calls(call(0, None, '{"x":1}', id="a")), calls(call(0, "get")), calls(call(1, "put", '{"k":2}', id="b")),
    ],
}  # fmt: skip


@pytest.mark.parametrize("chunks", CALLS.values(), ids=list(CALLS))
@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
def test_parallel_calls(chunks: list[Any], reason: str) -> None:
    assembler = Assembler(bound(GET, {"type": "function", "name": "put"}))
    run(assembler, *chunks, chunk({}, reason))
    made = [
        (e.item["call_id"], e.item["name"], e.item["arguments"].replace(" ", "")) for e in assembler.generated.entries
    ]
    assert made == [("a", "get", '{"x":1}'), ("b", "put", '{"k":2}')]
    assert assembler.generated.finish_reason == reason


WITHOUT_IDS = {
    "no ids": [calls(call(0, "get", '{"x":1}'), call(1, "get", '{"x":2}'))],
    "empty ids": [calls(call(0, "get", '{"x":1}', id=""), call(1, "get", '{"x":2}', id=""))],
    "neither ids nor numbers": [calls(call(None, "get", '{"x":1}')), calls(call(None, "get", '{"x":2}'))],
    "one number, no ids": [calls(call(0, "get", '{"x":1}')), calls(call(0, "get", '{"x":2}'))],
    "the same id twice": [calls(call(0, "get", '{"x":1}', id="a"), call(1, "get", '{"x":2}', id="a"))],
}


@pytest.mark.parametrize("chunks", WITHOUT_IDS.values(), ids=list(WITHOUT_IDS))
def test_every_call_has_an_id_of_its_own(chunks: list[Any]) -> None:
    assembler = Assembler(bound(GET))
    run(assembler, *chunks, chunk({}, "tool_calls"))
    made = [entry.item for entry in assembler.generated.entries]
    assert [item["arguments"] for item in made] == ['{"x":1}', '{"x":2}']
    ids = [item["call_id"] for item in made]
    assert len(set(ids)) == 2
    assert all(each == "a" or (each.startswith("call_") and len(each) == 29) for each in ids)


def test_a_call_is_closed_before_the_next_if_it_is_whole() -> None:
    assembler = Assembler(bound(GET))
    events = run(assembler, *CALLS["numbered, one after the other"], chunk({}, "tool_calls"))
    assert kinds(events).index("output_item.done") < len(kinds(events)) - 1 - kinds(events)[::-1].index(
        "output_item.added"
    )


def test_empty_arguments_are_an_empty_object() -> None:
    assembler = Assembler(bound(GET))
    events = run(assembler, calls(call(0, "get", "", id="a")), chunk({}, "tool_calls"))
    assert kinds(events) == [
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
    ]  # fmt: skip
    assert assembler.generated.entries[0].item["arguments"] == "{}"


def test_arguments_that_are_no_json_stay_as_they_are() -> None:
    assembler = Assembler(bound(GET))
    run(assembler, calls(call(0, "get", '{"x": oops', id="a")), chunk({}, "tool_calls"))
    assert assembler.generated.entries[0].item["arguments"] == '{"x": oops'


def test_unknown_names_are_functions_of_the_caller() -> None:
    assembler = Assembler(bound(GET))
    run(assembler, calls(call(0, "fetch", "{}", id="a")), chunk({}, "tool_calls"))
    assert assembler.generated.entries[0].item["name"] == "fetch"


def test_names_are_mapped_back() -> None:
    tools = bound(
        {"type": "function", "name": "files.read all"},
        {"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "find"}]},
    )
    assembler = Assembler(tools)
    run(assembler, calls(*(call(n, name, "{}", id=str(n)) for n, name in enumerate(tools))), chunk({}, "tool_calls"))
    first, second = (entry.item for entry in assembler.generated.entries)
    assert (first["name"], first.get("namespace")) == ("files.read all", None)
    assert (second["name"], second["namespace"]) == ("find", "crm")


def test_custom_tool() -> None:
    assembler = Assembler(bound({"type": "custom", "name": "patch"}))
    events = run(
        assembler,
        calls(call(0, "patch", "", id="a")),
        *(
            calls(call(0, None, piece))
            for piece in ('{"in', 'put": "*** Be', "gin\\", "n\\u00", 'e4 \\"', "x\\ud83d", '\\ude00"}')
        ),
        chunk({}, "tool_calls"),
    )
    item = assembler.generated.entries[0].item
    assert item == {
        "id": item["id"], "type": "custom_tool_call", "status": "completed", "call_id": "a", "name": "patch",
        "input": '*** Begin\nä "x😀',
    }  # fmt: skip
    deltas = [event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta"]
    assert len(deltas) > 3
    assert kinds(events)[-2:] == ["custom_tool_call_input.done", "output_item.done"]


def test_tool_search_of_the_caller() -> None:
    tool = ToolSearchTools().bind({"type": "tool_search", "execution": "client"}, ()).tools[0]
    assembler = Assembler({tool.name: tool})
    events = run(assembler, calls(call(0, tool.name, '{"query": "mail"}', id="a")), chunk({}, "tool_calls"))
    assert kinds(events) == ["output_item.added", "output_item.done"]
    item = assembler.generated.entries[0].item
    assert item == {
        "id": item["id"], "type": "tool_search_call", "status": "completed", "call_id": "a", "execution": "client",
        "arguments": {"query": "mail"},
    }  # fmt: skip


def test_calls_of_the_servers_tools_are_silent() -> None:
    search = ToolSearchTools().bind({"type": "tool_search"}, ()).tools[0]
    needs = BoundTool("pay", search.definition, {"type": "mcp"}, runner=search.runner, needs_approval=True)
    assembler = Assembler({**bound(GET), "tool_search": search, "pay": needs})
    events = run(
        assembler,
        chunk({"content": "Wait."}),
        calls(call(0, "tool_search", '{"query":', id="s")), calls(call(0, None, '"x"}')),
        calls(call(1, "get", "{}", id="g")), calls(call(2, "pay", "", id="p")),
        chunk({}, "tool_calls"),
    )  # fmt: skip
    assert [item["type"] for item in done_items(events)] == ["message", "function_call"]
    first, second = assembler.generated.calls
    assert first.call == ModelCall("s", "tool_search", '{"query":"x"}')
    assert first.item_id.startswith("tsc_")
    assert second.call == ModelCall("p", "pay", "{}")
    assert second.item_id.startswith("mcpr_")


@pytest.mark.parametrize("reason", ["length", "content_filter", "model_length"])
def test_an_answer_that_was_cut_short(reason: str) -> None:
    assembler = Assembler({})
    events = run(assembler, chunk({"content": "Once upon"}), chunk({}, reason))
    assert kinds(events)[-3:] == END_OF_TEXT
    assert assembler.generated.entries[0].item["status"] == "incomplete"
    assert assembler.generated.finish_reason == ("length" if reason == "model_length" else reason)


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_half_written_call_reaches_nobody(reason: str) -> None:
    search = ToolSearchTools().bind({"type": "tool_search"}, ()).tools[0]
    assembler = Assembler({**bound(GET), "tool_search": search})
    events = run(
        assembler,
        calls(call(0, "get", '{"x":1}', id="a")),
        calls(call(1, "get", '{"x":', id="b")),
        calls(call(2, "tool_search", '{"que', id="c")),
        calls(call(3, "tool_search", "", id="d")),
        chunk({}, reason),
    )
    assert [(item["call_id"], item["status"]) for item in done_items(events)] == [
        ("a", "completed"),
        ("b", "incomplete"),
    ]
    assert kinds(events)[-1] == "output_item.done"
    assert [entry.item["call_id"] for entry in assembler.generated.entries] == ["a"]
    assert assembler.generated.calls == []


def test_cut() -> None:
    assembler = Assembler(bound(GET))
    events = assembler.feed(sse(chunk({"reasoning": "Hm"}), chunk({"content": "Well, "}), chunk({"content": "so"})))
    events += assembler.cut()
    judge(events)
    assert kinds(events)[-2:] == ["output_text.delta", "output_item.done"]
    assert done_items(events)[-1]["status"] == "incomplete"
    assert list(texts(done_items(events))) == ["Hm", "Well, so"]
    assert [entry.item["type"] for entry in assembler.generated.entries] == ["reasoning"]


def test_cut_amid_calls() -> None:
    assembler = Assembler(bound(GET))
    events = assembler.feed(sse(calls(call(0, "get", '{"x"', id="a"), call(1, "get", '{"y', id="b"))))
    events += assembler.cut()
    judge(events)
    assert [(item["arguments"], item["status"]) for item in done_items(events)] == [
        ('{"x"', "incomplete"),
        ('{"y', "incomplete"),
    ]
    assert assembler.generated.entries == []


def test_cut_before_anything() -> None:
    assembler = Assembler({})
    assert assembler.cut() == []
    assert assembler.generated.entries == []


def test_nothing_but_white_space_is_shown_with_what_follows_or_alone() -> None:
    before_text = Assembler({})
    run(before_text, chunk({"content": "\n"}), chunk({"content": " "}), chunk({"content": "Yes"}), chunk({}, "stop"))
    assert list(texts(entry.item for entry in before_text.generated.entries)) == ["\n Yes"]
    before_call = Assembler(bound(GET))
    run(before_call, chunk({"content": "\n\n"}), calls(call(0, "get", "{}", id="a")), chunk({}, "tool_calls"))
    assert [entry.item["type"] for entry in before_call.generated.entries] == ["function_call"]
    alone = Assembler({})
    run(alone, chunk({"content": "\n"}), chunk({}, "stop"))
    assert list(texts(entry.item for entry in alone.generated.entries)) == ["\n"]


@pytest.mark.parametrize(("reason", "types"), [("stop", ["message"]), ("length", [])])
def test_no_answer_at_all(reason: str, types: list[str]) -> None:
    assembler = Assembler({})
    run(assembler, chunk({"role": "assistant", "content": ""}), chunk({}, reason))
    assert [entry.item["type"] for entry in assembler.generated.entries] == types


def test_what_is_said_after_calls_is_shown_after_them() -> None:
    assembler = Assembler(bound(GET))
    events = run(
        assembler,
        calls(call(0, "get", '{"x":', id="a")), chunk({"content": "I am "}), calls(call(0, None, "1}")),
        chunk({"content": "looking."}), chunk({}, "tool_calls"),
    )  # fmt: skip
    call_item, message = done_items(events)
    assert call_item["arguments"] == '{"x":1}'
    assert list(texts([message])) == ["I am looking."]


def test_only_the_first_choice_counts() -> None:
    assembler = Assembler({})
    other = {"index": 1, "delta": {"content": "B"}, "finish_reason": "length"}
    both = chunk({"content": "A"})
    both["choices"].append(other)
    run(assembler, both, chunk({}, "stop"))
    assert list(texts(entry.item for entry in assembler.generated.entries)) == ["A"]
    assert assembler.generated.finish_reason == "stop"


def test_metadata_of_the_stream() -> None:
    assembler = Assembler({})
    run(assembler, chunk({"content": "A"}, service_tier="flex", usage=None), chunk({}, "stop", model="up"))
    assert (assembler.generated.model, assembler.generated.service_tier) == ("up", "flex")
    assert assembler.generated.usage is None


def test_logprobs() -> None:
    def token(text: str, in_bytes: Any) -> dict[str, Any]:
        top = [{"token": "z", "logprob": -2.0, "bytes": None}]
        return {"token": text, "logprob": -0.5, "bytes": in_bytes, "top_logprobs": top}

    assembler = Assembler({})
    events = run(
        assembler,
        chunk({"content": ""}, logprobs={"content": [token("\\xc3", [195])]}),
        chunk({"content": "ä"}, logprobs={"content": [token("\\xa4", [164])], "refusal": None}),
        chunk({"content": "b"}, logprobs={"content": [token("b", None)]}),
        chunk({}, "stop"),
    )
    streamed = [event["logprobs"] for event in events if event["type"] == "response.output_text.delta"]
    assert [[one["token"] for one in each] for each in streamed] == [["\\xc3", "\\xa4"], ["b"]]
    assert streamed[1] == [{"token": "b", "logprob": -0.5, "top_logprobs": [{"token": "z", "logprob": -2.0}]}]
    kept = assembler.generated.entries[0].item["content"][0]["logprobs"]
    assert [one["bytes"] for one in kept] == [[195], [164], [98]]
    assert kept[0]["top_logprobs"] == [{"token": "z", "logprob": -2.0, "bytes": [122]}]


def test_citations() -> None:
    source = Source(title="Example", url="https://example.com/a")
    assembler = Assembler({}, citations=lambda: Citations([source]))
    events = run(
        assembler, chunk({"content": "See [Exam"}), chunk({"content": "ple](https://example.com/a)"}), chunk({}, "stop")
    )
    assert kinds(events)[-4:] == ["output_text.annotation.added", *END_OF_TEXT]
    part = assembler.generated.entries[0].item["content"][0]
    (annotation,) = part["annotations"]
    assert annotation["type"] == "url_citation"
    assert annotation["url"] == "https://example.com/a"
    assert part["text"][annotation["start_index"] : annotation["end_index"]].startswith("[Example")
    assert next(e for e in events if e["type"].endswith("annotation.added"))["annotation"] == annotation


def test_coalesced() -> None:
    assembler = Assembler(bound(GET, {"type": "custom", "name": "patch"}), coalesce=True)
    events = run(
        assembler,
        chunk({"reasoning": "Hm"}), chunk({"reasoning": "m"}), chunk({"content": "A"}), chunk({"content": "B"}),
        calls(call(0, "get", '{"x":', id="a")), calls(call(0, None, "1}")),
        calls(call(1, "patch", '{"input":"a', id="b")), calls(call(1, None, 'b"}')), chunk({}, "tool_calls"),
    )  # fmt: skip
    deltas = [event["delta"] for event in events if event["type"].endswith(".delta")]
    assert deltas == ["Hmm", "AB", '{"x":1}', "ab"]


def test_a_summary_holds_back_what_comes_after_the_reasoning() -> None:
    assembler = Assembler({}, summarize=True, seal=lambda text, blocks: text.upper())
    events = assembler.feed(sse(chunk({"reasoning": "Hm."}), chunk({"content": "A"})))
    assert kinds(events)[-1] == "content_part.done"
    assert assembler.pending_summary == "Hm."
    assert assembler.feed(sse(chunk({"content": "B"}), chunk({}, "stop"))) == []
    assert assembler.finish() == []
    events += assembler.summary("**Thinking**")
    judge(events)
    assert assembler.pending_summary is None
    at = kinds(events).index("reasoning_summary_part.added")
    assert kinds(events)[at : at + 5] == [
        "reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.done",
        "reasoning_summary_part.done", "output_item.done",
    ]  # fmt: skip
    thought, message = (entry.item for entry in assembler.generated.entries)
    assert thought["summary"] == [{"type": "summary_text", "text": "**Thinking**"}]
    assert thought["encrypted_content"] == "HM."
    assert list(texts([message])) == ["AB"]


def test_summaries_of_several_thoughts_and_none_that_can_be_had() -> None:
    assembler = Assembler(bound(GET), summarize=True)
    events = assembler.feed(sse(chunk({"reasoning": "One."}), chunk({"content": "A"}), chunk({"reasoning": "Two."})))
    events += assembler.summary("")
    assert assembler.pending_summary is None
    events += assembler.feed(sse(chunk({}, "length")))
    events += assembler.finish()
    assert assembler.pending_summary == "Two."
    assert assembler.generated.entries == []
    events += assembler.summary("2")
    judge(events)
    items = [entry.item for entry in assembler.generated.entries]
    assert [(item["type"], item["status"]) for item in items] == [
        ("reasoning", "completed"), ("message", "completed"), ("reasoning", "incomplete"),
    ]  # fmt: skip
    assert [item["summary"] for item in items if item["type"] == "reasoning"] == [
        [],
        [{"type": "summary_text", "text": "2"}],
    ]


@pytest.mark.parametrize("shown", ["", "Some"])
@pytest.mark.parametrize("closed", [False, True], ids=["text open", "text closed and a call after it"])
def test_refuse(shown: str, closed: bool) -> None:
    """A guardrail says no after `shown` of the text went out; what the assembler made of the rest was not sent."""
    search = ToolSearchTools().bind({"type": "tool_search"}, ()).tools[0]
    assembler = Assembler({**bound(GET), "tool_search": search})
    events = assembler.feed(sse(chunk({"reasoning": "Hm"}), chunk({"content": "Some text"})))
    if closed:
        assembler.feed(
            sse(calls(call(0, "get", "{}", id="a"), call(1, "tool_search", "{}", id="b")), chunk({}, "tool_calls"))
        )
    at = kinds(events).index("output_text.delta")
    sent = events[:at]
    if shown:
        sent.append({**events[at], "delta": shown})
    sent += assembler.refuse("Not allowed.", shown, events[at]["item_id"])
    judge(sent)
    assert kinds(sent)[-7:] == [
        "output_text.done", "content_part.done", "content_part.added", "refusal.delta", "refusal.done",
        "content_part.done", "output_item.done",
    ]  # fmt: skip
    thought, message = (entry.item for entry in assembler.generated.entries)
    assert thought["type"] == "reasoning"
    assert [part.get("text", part.get("refusal")) for part in message["content"]] == [shown, "Not allowed."]
    assert assembler.generated.calls == []
    assert assembler.generated.finish_reason == "stop"
    assert assembler.feed(DONE) == []
    assert assembler.finish() == []


@pytest.mark.parametrize(
    "block", [b"data: nonsense\n\n", b'data: {"choices": 7}\n\n', b'data: {"choices":[{"index":"x"}]}\n\n']
)
def test_what_is_no_chunk_breaks_the_stream(block: bytes) -> None:
    with pytest.raises(ProviderStreamBroken):
        Assembler({}).feed(block)


def test_a_call_without_a_name_breaks_the_stream() -> None:
    assembler = Assembler({})
    assembler.feed(sse(calls(call(0, None, "{}", id="a"))))
    with pytest.raises(ProviderStreamBroken):
        assembler.finish()


def test_comments_and_other_fields_between_events() -> None:
    assembler = Assembler({})
    block = b": ping\n\nevent: x\ndata: " + json.dumps(chunk({"content": "A"})).encode() + b"\n\n" + DONE
    events = assembler.feed(block) + assembler.feed(b"") + assembler.finish()
    judge(events)
    assert list(texts(done_items(events))) == ["A"]


def test_a_caller_tool_bound_under_another_name() -> None:
    tool = BoundTool("get_2", {}, {}, caller=CallerTool("function", "get"))
    assembler = Assembler({"get_2": tool})
    run(assembler, calls(call(0, "get_2", "{}", id="a")), chunk({}, "tool_calls"))
    assert assembler.generated.entries[0].item["name"] == "get"
