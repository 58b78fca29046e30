"""`logprobsResult` of a candidate as `logprobs` of a choice."""

from __future__ import annotations

from typing import Any

from llama_stack.dialects.chat.completions import token_logprob
from llama_stack.dialects.chat.values import Json, mapping, objects


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
    return token_logprob(said.get("token"), said.get("logProbability"))
