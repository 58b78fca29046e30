"""A whole reply of generateContent as a chat completion."""

from __future__ import annotations

from llama_stack.dialects.chat.completions import completion
from llama_stack.dialects.chat.values import Json, objects, text_or
from llama_stack.dialects.gemini.candidates import Candidate, completion_id, message_of
from llama_stack.dialects.gemini.endings import completion_usage
from llama_stack.dialects.gemini.logprobs import logprobs_of


def completion_of(reply: Json, *, model: str, created: int, one_call: bool = False) -> Json:
    """`created` in seconds since 1970; `model` for replies that name none. `one_call`: as `Candidate` has it."""
    reply_id = text_or(reply.get("responseId"))
    return completion(
        id=completion_id(reply_id),
        model=text_or(reply.get("modelVersion")) or model,
        created=created,
        choices=[
            _choice(candidate, Candidate(_place(candidate, at), reply_id=reply_id, one_call=one_call))
            for at, candidate in enumerate(objects(reply.get("candidates")))
        ],
        usage=completion_usage(reply.get("usageMetadata")),
    )


def _choice(said: Json, candidate: Candidate) -> Json:
    deltas = candidate.deltas(said)
    last, finish = candidate.ending()
    return {
        "index": candidate.index,
        "message": message_of([*deltas, *last]),
        "logprobs": logprobs_of(said.get("logprobsResult")),
        **finish,
    }


def _place(candidate: Json, at: int) -> int:
    index = candidate.get("index")
    return index if isinstance(index, int) else at
