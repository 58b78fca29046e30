"""Log probabilities under guard: tokens go out with their text, which they spell. Tokens that the model might have
written instead have been checked by nobody, and are left out."""

from __future__ import annotations

from typing import Any, Final

_CHAT: Final = ("content", "refusal")
_LEGACY: Final = ("tokens", "token_logprobs", "text_offset")
_TOKEN: Final = ("token", "logprob", "bytes")


def chosen(logprobs: Any) -> dict[str, Any] | None:
    """Of a choice's `logprobs` what belongs to the tokens that were chosen; None where there are none."""
    if not isinstance(logprobs, dict):
        return None
    chat = {name: _tokens(logprobs[name]) for name in _CHAT if name in logprobs}
    return chat | {name: logprobs[name] for name in _LEGACY if isinstance(logprobs.get(name), list)}


def spelled(logprobs: dict[str, Any]) -> str:
    """The text that `chosen` tokens amount to."""
    chat = (token["token"] for name in _CHAT for token in logprobs.get(name) or ())
    return "".join(str(each) for each in (*chat, *logprobs.get("tokens", ())))


def _tokens(tokens: Any) -> list[dict[str, Any]] | None:
    if not isinstance(tokens, list):
        return None
    known = [token for token in tokens if isinstance(token, dict) and isinstance(token.get("token"), str)]
    return [{**{name: token.get(name) for name in _TOKEN}, "top_logprobs": []} for token in known]
