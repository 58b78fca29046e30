"""Members of a chat completion that every dialect has to write: counts, citations, tokens."""

from __future__ import annotations

from typing import Any

from llama_stack.dialects.chat.values import Json, text_or


def completion(*, id: str, model: str, created: int, choices: list[Json], usage: Json) -> Json:
    """A whole one. `created` is in Unix seconds."""
    return {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": choices,
        "usage": usage,
    }


def usage_members(prompt: int, answer: int, *, cached: int = 0, thought: int = 0, **details: int) -> Json:
    """Tokens of the prompt, those from a cache included, and of the answer, thoughts included. `details` are further
    ones of the prompt's."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": cached, **details},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def count(counts: Json, name: str) -> int:
    """A count of an upstream's; 0 for what is none."""
    value = counts.get(name)
    return int(value) if isinstance(value, int | float) and 0 <= value < float("inf") else 0


def url_citation(url: str, title: Any, start: int, end: int) -> Json:
    """The characters from `start` to `end` of the answer rest on a page."""
    cited = {"start_index": start, "end_index": end, "url": url, "title": text_or(title)}
    return {"type": "url_citation", "url_citation": cited}


def token_logprob(token: Any, logprob: Any) -> Json:
    """A token and the logarithm of its probability, 0 where nobody tells it."""
    text = text_or(token)
    known = logprob if isinstance(logprob, int | float) else 0.0
    return {"token": text, "logprob": known, "bytes": list(text.encode(errors="replace"))}
