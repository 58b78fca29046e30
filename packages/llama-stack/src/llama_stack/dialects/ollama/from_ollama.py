"""Replies of Ollama's own API as those of OpenAI's: a chat completion, vectors."""

from __future__ import annotations

from typing import Any, Final

from llama_stack.dialects.chat.completions import completion, count
from llama_stack.dialects.chat.values import Json, as_json, chat_call_id, mapping, objects, text_or

_FINISH_REASONS: Final = {"length": "length"}
"""All others are `stop`: the end, a stop sequence, a model that was loaded or put away."""


def completion_of(reply: Json, *, id: str, created: int) -> Json:
    """`id` is the completion's: Ollama names none. `created` is in Unix seconds."""
    said = mapping(reply.get("message"))
    calls = tool_calls(said, id, 0)
    content = text_or(said.get("content"))
    message: Json = {"role": "assistant", "content": content if content or not calls else None, "refusal": None}
    if thought := text_or(said.get("thinking")):
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "logprobs": logprobs_of(reply)}
    return completion(
        id=id,
        model=text_or(reply.get("model")),
        created=created,
        choices=[{**choice, "finish_reason": finish_reason(reply, bool(calls))}],
        usage=usage_of(reply),
    )


def finish_reason(reply: Json, called: bool) -> str:
    """An answer that was cut short is that, whatever it had called."""
    reason = _FINISH_REASONS.get(text_or(reply.get("done_reason")), "stop")
    return "tool_calls" if called and reason == "stop" else reason


def tool_calls(message: Json, id: str, before: int) -> list[Json]:
    """The calls of a message, with ids of ours where an older Ollama gives none. `before` counts those of the same
    answer that came earlier."""
    calls = []
    for number, call in enumerate(objects(message.get("tool_calls")), before):
        function = mapping(call.get("function"))
        identifier = text_or(call.get("id")) or f"call_{id.removeprefix('chatcmpl-')}_{number}"
        arguments = as_json(mapping(function.get("arguments")))
        made = {"name": text_or(function.get("name")), "arguments": arguments}
        calls.append({"id": chat_call_id(identifier), "type": "function", "function": made})
    return calls


def logprobs_of(reply: Json) -> Json | None:
    tokens = objects(reply.get("logprobs"))
    return {"content": [_token(token) for token in tokens], "refusal": None} if tokens else None


def usage_of(reply: Json) -> Json:
    """Ollama does not tell thoughts from answers."""
    prompt, answer = count(reply, "prompt_eval_count"), count(reply, "eval_count")
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def vectors_of(reply: Json) -> tuple[Any, int]:
    """What is said to be vectors, and the tokens that they cost."""
    return reply.get("embeddings"), count(reply, "prompt_eval_count")


def _token(token: Json) -> Json:
    alternatives = [_logprob(other) for other in objects(token.get("top_logprobs"))]
    return {**_logprob(token), "top_logprobs": alternatives}


def _logprob(token: Json) -> Json:
    return {name: token.get(name) for name in ("token", "logprob", "bytes")}
