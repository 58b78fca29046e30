"""What an answer of Oracle's says, or an event of a streamed one, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from llama_stack.dialects.chat.completions import count, token_logprob, url_citation, usage_members
from llama_stack.dialects.chat.values import Json, as_json, mapping, objects, text_or

FINISH_REASONS: Final[Mapping[str, str]] = {
    "stop": "stop",
    "complete": "stop",
    "stop_sequence": "stop",
    "user_cancel": "stop",
    "length": "length",
    "max_tokens": "length",
    "error_limit": "length",
    "tool_call": "tool_calls",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "content_filtered": "content_filter",
    "error_toxic": "content_filter",
    "safety": "content_filter",
}


@dataclass(frozen=True, slots=True)
class SaidCall:
    """A call, or a piece of one: then `id` or `name` may be missing. `arguments` is JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Said:
    """One choice of an answer, or what an event adds to it. `finish_reason` is in OpenAI's words."""

    index: int = 0
    text: str = ""
    thought: str = ""
    refusal: str = ""
    calls: list[SaidCall] = field(default_factory=list)
    annotations: list[Json] = field(default_factory=list)
    finish_reason: str | None = None
    logprobs: Json | None = None
    usage: Json | None = None


def said_by(value: Json) -> Said:
    """`value` is a choice of the generic format, an answer in one of Cohere's, or an event of any."""
    message = mapping(value.get("message"))
    parts = objects(message.get("content"))
    texts = [text_or(value.get("text")), *(text_or(part.get("text")) for part in parts)]
    thoughts = [
        text_or(message.get("toolPlan")),
        text_or(message.get("reasoningContent")),
        *(text_or(part.get("thinking")) for part in parts),
    ]
    reason, usage, index = value.get("finishReason"), value.get("usage"), value.get("index")
    return Said(
        index=index if isinstance(index, int) else 0,
        text="".join(texts),
        thought="".join(thoughts),
        refusal=text_or(message.get("refusal")),
        calls=[_call(call) for call in objects(value.get("toolCalls")) + objects(message.get("toolCalls"))],
        annotations=_annotations(message),
        finish_reason=FINISH_REASONS.get(reason.lower(), "stop") if isinstance(reason, str) else None,
        logprobs=_logprobs(mapping(value.get("logprobs"))),
        usage=usage if isinstance(usage, dict) else None,
    )


def completion_usage(usage: Json) -> Json:
    members = usage_members(
        count(usage, "promptTokens"),
        count(usage, "completionTokens"),
        cached=count(mapping(usage.get("promptTokensDetails")), "cachedTokens"),
        thought=count(mapping(usage.get("completionTokensDetails")), "reasoningTokens"),
    )
    return members | {"total_tokens": count(usage, "totalTokens") or members["total_tokens"]}


def _call(call: Json) -> SaidCall:
    function = mapping(call.get("function")) or call
    written = function.get("arguments", function.get("parameters"))
    arguments = written if isinstance(written, str) else "" if written is None else as_json(written)
    return SaidCall(text_or(call.get("id")), text_or(function.get("name")), arguments)


def _annotations(message: Json) -> list[Json]:
    """Pages that a web search found."""
    found = []
    for annotation in objects(message.get("annotations")):
        cited = mapping(annotation.get("urlCitation"))
        if cited:
            start, end = count(cited, "startIndex"), count(cited, "endIndex")
            found.append(url_citation(text_or(cited.get("url")), cited.get("title"), start, end))
    return found


def _logprobs(told: Json) -> Json | None:
    """Tokens, their logarithmic probabilities and the likeliest ones, as lists side by side."""
    tokens, own = told.get("tokens"), told.get("tokenLogprobs")
    if not isinstance(tokens, list) or not isinstance(own, list):
        return None
    tops = told.get("topLogprobs")
    likeliest = tops if isinstance(tops, list) else []
    likeliest = [*likeliest, *[None] * (len(tokens) - len(likeliest))]
    content = [
        {
            **token_logprob(token, logprob),
            "top_logprobs": [token_logprob(other, value) for other, value in mapping(top).items()],
        }
        for token, logprob, top in zip(tokens, own, likeliest, strict=False)
    ]
    return {"content": content, "refusal": None}
