"""A whole answer of Oracle's chat API as a chat completion."""

from __future__ import annotations

from llama_stack.dialects.chat.completions import completion
from llama_stack.dialects.chat.values import Json, mapping, objects
from llama_stack.dialects.oci.said import Said, completion_usage, said_by


def completion_of(reply: Json, *, model: str, created: int, id: str) -> Json:
    """`model` is what the request called it. `id`, the completion's, makes the ids of calls that have none."""
    answer = mapping(reply.get("chatResponse"))
    choices = objects(answer.get("choices"))
    said = [said_by(choice) for choice in choices] if "choices" in answer else [said_by(answer)]
    usage = mapping(answer.get("usage")) or next((one.usage for one in said if one.usage), {})
    return completion(
        id=id,
        model=model,
        created=created,
        choices=[_choice(one, id) for one in said],
        usage=completion_usage(usage),
    )


def call_id(known: str, completion_id: str, index: int, position: int) -> str:
    """The id of a call, or one of its own where Oracle gives none (Cohere's first format, Google's models)."""
    return known or f"call_{completion_id.removeprefix('chatcmpl-')[:24]}_{index}_{position}"


def finish_reason(said: Said, *, called: bool) -> str:
    """Some models end with `stop` or `COMPLETE` behind their calls."""
    return "tool_calls" if called and said.finish_reason in (None, "stop") else said.finish_reason or "stop"


def _choice(said: Said, id: str) -> Json:
    message: Json = {"role": "assistant", "content": said.text or None, "refusal": said.refusal or None}
    if said.thought:
        message["reasoning_content"] = said.thought
    if said.calls:
        message["tool_calls"] = [
            {
                "id": call_id(call.id, id, said.index, position),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for position, call in enumerate(said.calls)
        ]
    if said.annotations:
        message["annotations"] = said.annotations
    return {
        "index": said.index,
        "message": message,
        "logprobs": said.logprobs,
        "finish_reason": finish_reason(said, called=bool(said.calls)),
    }
