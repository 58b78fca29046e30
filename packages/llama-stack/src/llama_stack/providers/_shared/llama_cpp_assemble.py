"""Whole replies out of streams.

Also an answer that nobody wants as a stream is streamed from llama.cpp: only so does it stop computing as soon as the
client hangs up. (While it waits for a whole answer it looks for that once a second, and not at all under load.)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.errors import error_in_stream
from llama_stack_api.errors import ProviderStreamBroken

_DONE = b"[DONE]"


async def chat_completion(chunks: AsyncIterator[bytes], provider: str) -> dict[str, Any]:
    """A `chat.completion` of one choice. `ProviderStreamBroken` if the stream is not complete."""
    events = await _events(chunks, provider)
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    calls: dict[int, dict[str, Any]] = {}
    for event in events:
        for choice in event["choices"]:
            delta = choice.get("delta", {})
            for name in ("content", "reasoning_content"):
                if delta.get(name) is not None:
                    message[name] = (message.get(name) or "") + delta[name]
            for piece in delta.get("tool_calls") or ():
                _add_call(calls, piece)
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    elif message["content"] is None:
        message["content"] = ""
    return _reply(events, "chat.completion", {"message": message, "logprobs": _logprobs(events)})


async def completion(chunks: AsyncIterator[bytes], provider: str) -> dict[str, Any]:
    """A `text_completion` of one choice. `ProviderStreamBroken` if the stream is not complete."""
    events = await _events(chunks, provider)
    text = "".join(choice.get("text") or "" for event in events for choice in event["choices"])
    reply = _reply(events, "text_completion", {"text": text, "logprobs": None})
    reply["id"] = reply["id"].replace("chatcmpl-", "cmpl-")
    return reply


def merged(replies: list[dict[str, Any]], answers_per_prompt: int) -> dict[str, Any]:
    """One reply with the choices of all, in order. A prompt that was answered several times is counted once."""
    whole = replies[0]
    whole["choices"] = [reply["choices"][0] | {"index": index} for index, reply in enumerate(replies)]
    prompts = [reply["usage"]["prompt_tokens"] for reply in replies[::answers_per_prompt]]
    written = sum(reply["usage"]["completion_tokens"] for reply in replies)
    whole["usage"] = {
        "prompt_tokens": sum(prompts), "completion_tokens": written, "total_tokens": sum(prompts) + written,
    }  # fmt: skip
    return whole


async def _events(chunks: AsyncIterator[bytes], provider: str) -> list[dict[str, Any]]:
    splitter = sse.EventSplitter()
    events: list[dict[str, Any]] = []
    done = False
    async for chunk in chunks:
        for block in splitter.feed(chunk).split(b"\n\n"):
            data = sse.data_of(block)
            if data == _DONE:
                done = True
            elif data:
                events.append(_event(data, provider))
    finished = any(choice.get("finish_reason") for event in events for choice in event["choices"])
    if not done or not finished or not any(event.get("usage") for event in events):
        raise ProviderStreamBroken(f"Provider '{provider}' broke off its answer; send the request again.")
    return events


def _event(data: bytes, provider: str) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError:
        raise ProviderStreamBroken(f"Provider '{provider}' sent something that is not JSON.") from None
    if "error" in event:
        raise error_in_stream(event["error"], provider)
    event.setdefault("choices", [])
    return event


def _add_call(calls: dict[int, dict[str, Any]], piece: dict[str, Any]) -> None:
    function = piece.get("function", {})
    call = calls.setdefault(
        piece.get("index", 0), {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
    )
    call["id"] = piece.get("id") or call["id"]
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""


def _logprobs(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    found = [choice["logprobs"] for event in events for choice in event["choices"] if choice.get("logprobs")]
    if not found:
        return None
    return {"content": [token for each in found for token in each.get("content") or ()], "refusal": None}


def _reply(events: list[dict[str, Any]], kind: str, answer: dict[str, Any]) -> dict[str, Any]:
    last = [choice for event in events for choice in event["choices"] if choice["finish_reason"]][-1]
    ending = {name: last[name] for name in ("finish_reason", "stop_reason") if name in last}
    first = events[0]
    return {
        "id": first["id"],
        "object": kind,
        "created": first["created"],
        "model": first["model"],
        "system_fingerprint": first.get("system_fingerprint"),
        "choices": [{"index": 0, **answer, **ending}],
        "usage": next(event["usage"] for event in reversed(events) if event.get("usage")),
    }
