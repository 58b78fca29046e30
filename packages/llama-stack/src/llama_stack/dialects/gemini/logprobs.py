"""`logprobsResult` of a candidate as `logprobs` of a choice."""

from __future__ import annotations

from typing import Any

from llama_stack.dialects.anthropic.values import Json, mapping, objects, text_or


def logprobs_of(result: Any) -> Json | None:
    """None where the candidate has none."""
    said = mapping(result)
    chosen = objects(said.get("chosenCandidates"))
    if not chosen:
        return None
    tops = [objects(step.get("candidates")) for step in objects(said.get("topCandidates"))]
    tops += [[]] * (len(chosen) - len(tops))
    tokens = [
        {**_token(token), "top_logprobs": [_token(other) for other in top]}
        for token, top in zip(chosen, tops, strict=False)
    ]
    return {"content": tokens, "refusal": None}


def _token(said: Json) -> Json:
    token = text_or(said.get("token"))
    logprob = said.get("logProbability")
    return {
        "token": token,
        "logprob": logprob if isinstance(logprob, int | float) else 0.0,
        "bytes": list(token.encode(errors="replace")),
    }
