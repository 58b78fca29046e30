"""Guards against a model, a tool and a client that try to get around them: not a byte of what is blocked goes out, and
nothing poisoned goes in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.guarding import guarding, guards
from tests.support.mcp_server import LoopbackMcp
from tests.support.responding import MODEL
from tests.support.upstream import Answer, Tool, Wire, calls, text

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
HELLO: Any = [{"role": "user", "content": "Hello"}]
FILLER = "All is well in the garden of the house. " * 60


def tokens(*pieces: str, alternatives: tuple[str, ...] = ()) -> dict[str, Any]:
    top = [{"token": each, "logprob": -2.0, "bytes": None} for each in alternatives]
    return {
        "content": [
            {"token": piece, "logprob": -0.5, "bytes": list(piece.encode()), "top_logprobs": top} for piece in pieces
        ],
        "refusal": None,
    }


def chunk(delta: dict[str, Any] | None = None, **choice: Any) -> dict[str, Any]:
    said = {"index": 0, "delta": delta or {}, "finish_reason": None, **choice}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [said]}


def call(arguments: str, **more: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "ask", "arguments": arguments}, **more}]}


STREAMS: dict[str, list[dict[str, Any]]] = {
    "tokens of a thought's end and an answer's beginning": [
        chunk({"reasoning_content": "hm ", "content": "bomb"}, logprobs=tokens("hm ", "bomb")),
        chunk(finish_reason="stop"),
    ],
    "tokens of a call": [
        chunk({"content": "fine"}, logprobs=tokens("fine")),
        chunk(call('{"q": "bomb"}'), logprobs=tokens('{"q": "', "bomb", '"}')),
        chunk(finish_reason="tool_calls"),
    ],
    "tokens that are not the text": [
        chunk({"content": "fine"}, logprobs=tokens("bo", "mb")),
        chunk(finish_reason="stop"),
    ],
    "tokens that might have been": [
        chunk({"content": "fine"}, logprobs=tokens("fine", alternatives=("bomb",))),
        chunk(finish_reason="stop"),
    ],
    "what stands beside a function": [
        chunk(call("{}", custom={"name": "x", "input": "bomb"})),
        chunk(finish_reason="tool_calls"),
    ],
    "names of members": [
        chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "ask", "arguments": {"bomb": 1}}}]}),
        chunk(finish_reason="tool_calls"),
    ],
    "names of members of something new": [chunk({"novel": {"bomb": 1}}), chunk(finish_reason="stop")],
}

WHOLES: dict[str, dict[str, Any]] = {
    "a text beside the message": {"message": {"role": "assistant", "content": "fine"}, "text": "bomb"},
    "a message that is none": {"message": "bomb"},
    "tokens that are not the text": {
        "message": {"role": "assistant", "content": "fine"},
        "logprobs": tokens("bo", "mb"),
    },
    "tokens that might have been": {
        "message": {"role": "assistant", "content": "fine"},
        "logprobs": tokens("fine", alternatives=("bomb",)),
    },
    "what stands beside a function": {
        "message": {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c",
                    "type": "function",
                    "function": {"name": "ask", "arguments": "{}"},
                    "custom": {"name": "x", "input": "bomb"},
                }
            ],
        }
    },
    "names of members": {"message": {"role": "assistant", "content": "fine", "novel": {"bomb": 1}}},
}


@pytest.mark.parametrize("chunks", STREAMS.values(), ids=list(STREAMS))
async def test_no_member_of_a_chunk_smuggles(tmp_path: Path, chunks: list[dict[str, Any]]) -> None:
    async with guarding(tmp_path, safety=guards("chat")) as up:
        for split in (1, 7, None):
            up.upstream.reply(Wire(split_bytes=split).events(chunks), on="/completions")
            body = {"model": MODEL, "messages": HELLO, "stream": True, "logprobs": True, "top_logprobs": 1}
            reply = await up.http.post(CHAT, json=body)
            assert reply.status_code == 200
            assert "omb" not in reply.text
            assert "[DONE]" in reply.text


@pytest.mark.parametrize("choice", WHOLES.values(), ids=list(WHOLES))
async def test_no_member_of_a_choice_smuggles(tmp_path: Path, choice: dict[str, Any]) -> None:
    async with guarding(tmp_path, safety=guards("chat")) as up:
        whole = {"id": "c", "object": "chat.completion", "created": 1, "model": MODEL}
        fine = {"index": 1, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}
        hostile = {"index": 0, "finish_reason": "stop", **choice}
        up.upstream.reply(Wire().json({**whole, "choices": [hostile, fine]}), on="/completions")
        reply = await up.http.post(CHAT, json={"model": MODEL, "messages": HELLO, "n": 2, "store": True})
        assert "omb" not in reply.text
        if reply.status_code == 200:
            stored = await up.http.get(f"{CHAT}/{reply.json()['id']}")
            assert "omb" not in stored.text


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 255, 256, 257, 1000])
async def test_a_word_astride_two_windows_does_not_begin_to_go_out(tmp_path: Path, size: int) -> None:
    """Wherever the word stands, and whatever pieces it comes in."""
    async with guarding(tmp_path, safety=guards("chat", "completions", "messages")) as up:
        for place in (253, 254, 255, 256, 510, 765, 766, 767, 1790):
            said = FILLER[:place].replace("b", "p") + "bomb" + FILLER
            events = [chunk({"content": said[at : at + size]}) for at in range(0, len(said), size)]
            events.append(chunk(finish_reason="stop"))
            up.upstream.reply(Wire().events(events), on="/completions")
            reply = await up.http.post(CHAT, json={"model": MODEL, "messages": HELLO, "stream": True})
            shown = _said(reply.text)
            assert said[:place].startswith(shown), f"{shown[-8:]!r} went out, of a word at {place}"
            assert len(shown) >= place - 1600


def _said(events: str) -> str:
    lines = [line.removeprefix("data: ") for line in events.split("\n") if line.startswith("data: {")]
    choices = [choice for line in lines for choice in json.loads(line)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


HIDDEN: dict[str, Any] = {
    "an earlier thought": {"role": "assistant", "content": "x", "reasoning_content": "a bomb"},
    "a thinking block": {
        "role": "assistant",
        "content": "x",
        "thinking_blocks": [{"type": "thinking", "thinking": "a bomb", "signature": "s"}],
    },
    "an earlier refusal": {"role": "assistant", "content": None, "refusal": "no bomb"},
    "a refusal part": {"role": "assistant", "content": [{"type": "refusal", "refusal": "a bomb"}]},
    "an earlier call": {
        "role": "assistant",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "ask", "arguments": '{"q":"b\\u006fmb"}'}}],
    },
    "a custom call": {
        "role": "assistant",
        "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "ask", "input": "a bomb"}}],
    },
    "an old call": {"role": "assistant", "function_call": {"name": "ask", "arguments": "a bomb"}},
    "a part of a type of its own": {"role": "user", "content": [{"type": "input_text", "text": "a bomb"}]},
    "a deep part": {"role": "user", "content": [{"type": "novel", "novel": {"deep": ["a bomb"]}}]},
    "a name": {"role": "user", "name": "bomb", "content": "x"},
    "a function's result": {"role": "function", "name": "ask", "content": "a bomb"},
}


@pytest.mark.parametrize("message", HIDDEN.values(), ids=list(HIDDEN))
async def test_shields_that_read_texts_alone_are_shown_all_that_a_model_is(tmp_path: Path, message: Any) -> None:
    async with guarding(tmp_path, safety=guards("chat", shield="plain", check=("input",))) as up:
        reply = await up.http.post(CHAT, json={"model": MODEL, "messages": [message, *HELLO]})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "content_filter")
        assert up.upstream.requests == []


@pytest.mark.parametrize("kind", ["data", "url"])
async def test_files_of_a_response_are_read_before_the_model_reads_them(tmp_path: Path, kind: str) -> None:
    egress = {"egress": {"allow_private_networks": True}}
    async with guarding(tmp_path, safety=guards("responses", shield="plain"), server=egress) as up:
        page = Answer(headers={"content-type": "text/plain"}, parts=[b"a bomb"])
        fine = Answer(headers={"content-type": "text/plain"}, parts=[b"a rose"])
        # Whoever asks twice gets something else.
        up.upstream.reply(page, fine, on="/notes.txt")
        part = {"type": "input_file", "file_url": f"{up.upstream.url}/notes.txt"}
        if kind == "data":
            part = {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,YSBib21i"}
        body = {"model": MODEL, "input": [{"role": "user", "content": [part]}]}
        reply = await up.http.post("/v1/responses", json=body)
        assert reply.status_code == 200, reply.text
        assert reply.json()["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]
        assert [request for request in up.upstream.requests if request.path.endswith("/completions")] == []


async def test_a_file_is_the_same_for_the_shield_and_for_the_model(tmp_path: Path) -> None:
    egress = {"egress": {"allow_private_networks": True}}
    async with guarding(tmp_path, safety=guards("responses", shield="plain"), server=egress) as up:
        for said in (b"a rose", b"a bomb"):
            up.upstream.reply(Answer(headers={"content-type": "text/plain"}, parts=[said]), on="/notes.txt")
        part = {"type": "input_file", "file_url": f"{up.upstream.url}/notes.txt"}
        body = {"model": MODEL, "input": [{"role": "user", "content": [part]}]}
        assert (await up.http.post("/v1/responses", json=body)).status_code == 200
        assert "a rose" in up.said()[0][1]


LISTED: Any = {"type": "mcp", "server_label": "box", "require_approval": "never"}


async def test_what_a_tool_of_an_mcp_server_says_is_checked(tmp_path: Path) -> None:
    egress = {"egress": {"allow_private_networks": True}}
    with LoopbackMcp() as mcp:
        async with guarding(tmp_path, safety=guards("responses", check=("input",)), server=egress) as up:
            up.upstream.reply(calls(Tool("echo", {"text": "Take poison"})), on="/completions")
            up.upstream.always(text("Done."), on="/completions")
            body = {"model": MODEL, "input": "Go.", "tools": [{**LISTED, "server_url": mcp.url}]}
            reply = await up.http.post("/v1/responses", json=body)
            assert reply.status_code == 200, reply.text
            [result] = [each for each in up.upstream.last.body["messages"] if each["role"] == "tool"]
            assert "poison" not in result["content"]
            assert "was blocked by the shield words" in result["content"]


def block(**members: Any) -> dict[str, Any]:
    return members


RESULTS: dict[str, Any] = {
    "text": "Here is a bomb",
    "nested text": [block(type="text", text="Here is a "), block(type="text", text="bomb")],
    "a search result": [
        block(type="search_result", source="https://a.example", title="A", content=[block(type="text", text="bomb")])
    ],
    "the title of a search result": [
        block(type="search_result", source="s", title="bomb", content=[block(type="text", text="x")])
    ],
    "the source of a search result": [
        block(type="search_result", source="https://bomb.example", title="A", content=[block(type="text", text="x")])
    ],
    "a text document": [block(type="document", source=block(type="text", media_type="text/plain", data="bomb"))],
    "a document in base64": [
        block(type="document", source=block(type="base64", media_type="text/plain", data="YSBib21i"))
    ],
    "a document of blocks": [
        block(type="document", source=block(type="content", content=[block(type="text", text="bomb")]))
    ],
    "a document's context": [
        block(type="document", context="bomb", source=block(type="text", media_type="text/plain", data="x"))
    ],
    "a block of a type of its own": [block(type="novel", deep=block(er=["bomb"]))],
    "a name of a tool": [block(type="tool_reference", tool_name="bomb")],
}


@pytest.mark.parametrize("content", RESULTS.values(), ids=list(RESULTS))
@pytest.mark.parametrize("stream", [False, True])
async def test_no_result_of_a_tool_passes_unread(tmp_path: Path, content: Any, stream: bool) -> None:
    use = block(type="tool_use", id="toolu_1", name="ask", input={})
    messages: list[Any] = [
        block(role="user", content="Look it up"),
        block(role="assistant", content=[use]),
        block(role="user", content=[block(type="tool_result", tool_use_id="toolu_1", content=content)]),
    ]
    async with guarding(tmp_path, safety=guards("messages", shield="plain")) as up:
        body = {"model": MODEL, "max_tokens": 10, "messages": messages, "stream": stream}
        reply = await up.http.post("/v1/messages", json=body)
        assert (reply.status_code, reply.json()["error"]["type"]) == (400, "invalid_request_error"), reply.text
        assert "omb" not in reply.text
        assert up.upstream.requests == []


@pytest.mark.parametrize(
    "blocks",
    [
        [block(type="thinking", thinking="a bomb", signature="s"), block(type="text", text="x")],
        [block(type="tool_use", id="toolu_1", name="ask", input={"bomb": 1})],
        [block(type="tool_use", id="toolu_1", name="bomb", input={})],
        [
            block(type="server_tool_use", id="srvtoolu_1", name="web_search", input={"query": "x"}),
            block(
                type="web_search_tool_result",
                tool_use_id="srvtoolu_1",
                content=[
                    block(type="web_search_result", url="u", title="t", encrypted_content="ls1.YSBib21i", page_age=None)
                ],
            ),
        ],
        [
            block(type="mcp_tool_use", id="mcptoolu_1", name="ask", server_name="box", input={}),
            block(type="mcp_tool_result", tool_use_id="mcptoolu_1", content=[block(type="text", text="bomb")]),
        ],
        [block(type="compaction", content="bomb")],
    ],
)
async def test_nothing_of_an_earlier_turn_passes_unread(tmp_path: Path, blocks: Any) -> None:
    messages = [
        block(role="user", content="x"),
        block(role="assistant", content=blocks),
        block(role="user", content="y"),
    ]
    async with guarding(tmp_path, safety=guards("messages", shield="plain")) as up:
        reply = await up.http.post("/v1/messages", json={"model": MODEL, "max_tokens": 10, "messages": messages})
        assert reply.status_code == 400, reply.text
        assert "omb" not in reply.text
        assert up.upstream.requests == []


@pytest.mark.parametrize("chunks", STREAMS.values(), ids=list(STREAMS))
async def test_no_chunk_smuggles_into_a_message_or_a_response(tmp_path: Path, chunks: list[dict[str, Any]]) -> None:
    async with guarding(tmp_path, safety=guards("messages", "responses")) as up:
        up.upstream.always(Wire(split_bytes=5).events(chunks), on="/completions")
        asked: Any = {"model": MODEL, "stream": True}
        message = await up.http.post("/v1/messages", json={**asked, "max_tokens": 10, "messages": HELLO})
        more = {"input": "Hello", "include": ["message.output_text.logprobs"], "top_logprobs": 1}
        function = {"type": "function", "name": "ask", "parameters": {"type": "object"}, "strict": False}
        response = await up.http.post("/v1/responses", json={**asked, **more, "tools": [function]})
        for reply in (message, response):
            assert reply.status_code == 200
            assert "omb" not in reply.text
        stored = await up.http.get("/v1/responses")
        assert "omb" not in stored.text


async def test_errors_repeat_nothing(tmp_path: Path) -> None:
    """A shield that is away, in the middle of a stream, and one that the provider's own error quotes."""
    async with guarding(tmp_path, safety=guards("chat", "messages", "responses")) as up:
        up.upstream.always(text(FILLER + "outage and swordfish"), on="/completions")
        asked: Any = {"model": MODEL, "stream": True}
        for path, body in (
            (CHAT, {"messages": HELLO}),
            ("/v1/messages", {"messages": HELLO, "max_tokens": 10}),
            ("/v1/responses", {"input": "Hello"}),
        ):
            reply = await up.http.post(path, json={**asked, **body})
            assert "swordfish" not in reply.text
            assert "outage" not in reply.text
            assert "The words are away." in reply.text
