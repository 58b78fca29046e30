"""What a running server says of itself: whether it wants a key, which models chat, which of them call tools."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Sequence
from typing import Any

from llama_stack.cli.asking import Answer, NoAnswer, address_of, ask
from llama_stack.cli.connect.target import ChatModel
from llama_stack.cli.failure import USAGE, Failure

MODELS = "/v1/models"
TRIAL_TIMEOUT_S = 120.0
"""A model may have to be loaded first."""
TRIALS_MAX = 3
_TRIAL_TOKENS = 512
_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Server:
    """`url` is as tools want it: with a scheme, without `/v1` or a slash at the end."""

    def __init__(self, address: str, key: str | None, key_variable: str) -> None:
        self._address = address_of(address)
        self.url = self._address.url
        self._key = key
        self._key_variable = key_variable
        self.wants_key = False

    def chat_models(self) -> list[ChatModel]:
        """In the server's order. Says whether a key is wanted, by asking without one first."""
        answer = ask(self._address, MODELS)
        if answer.status == http.client.UNAUTHORIZED:
            self.wants_key = True
            answer = self._asked_with_key()
        if answer.status != http.client.OK or not isinstance(answer.body.get("data"), list):
            raise answer.unexpected(self._address)
        return [model for item in answer.body["data"] if (model := _chat_model(item)) is not None]

    def refuses_tools(self, model: ChatModel) -> str | None:
        """Asks the model to call a tool; what speaks against it, None if it called one."""
        body = {
            "model": model.id,
            "messages": [{"role": "user", "content": "What is the weather in Paris? Call get_weather to find out."}],
            "tools": [_TOOL],
            "max_completion_tokens": _TRIAL_TOKENS,
        }
        key = self._key if self.wants_key else None
        try:
            answer = ask(self._address, "/v1/chat/completions", body, key=key, timeout_s=TRIAL_TIMEOUT_S)
        except NoAnswer as failure:
            return failure.what
        if answer.status != http.client.OK:
            return answer.message or f"status {answer.status}"
        choices = answer.body.get("choices") or [{}]
        return None if (choices[0].get("message") or {}).get("tool_calls") else "it answered without calling the tool"

    def _asked_with_key(self) -> Answer:
        if not self._key:
            raise Failure(
                f"{self.url} wants an API key, and ${self._key_variable} is not set",
                f"export {self._key_variable}=…, or name another variable with --key-env; "
                "`llama stack keys new` makes a key",
            )
        answer = ask(self._address, MODELS, key=self._key)
        if answer.status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            raise Failure(
                f"{self.url} does not accept the key in ${self._key_variable}",
                "Use one whose hash is in the server's config (server.auth), or name another variable with --key-env",
            )
        return answer


def choose(server: Server, models: Sequence[ChatModel], wish: str | None) -> ChatModel:
    """The model that was wished for, else the first that calls tools, as the server says or as it shows when asked."""
    if wish is not None:
        return _wished(server, models, wish)
    if not models:
        raise Failure(
            f"{server.url} offers no model that chats", "`llama stack doctor` says why; then see `llama stack models`"
        )
    known = next((model for model in models if model.calls_tools), None)
    if known is not None:
        return known
    refused = []
    for model in [model for model in models if model.calls_tools is None][:TRIALS_MAX]:
        why = server.refuses_tools(model)
        if why is None:
            return model
        refused.append(f"{model.id}: {why}")
    refused += [f"{model.id} cannot, says the server" for model in models if model.calls_tools is False][:TRIALS_MAX]
    raise Failure(
        "no model was found that calls tools, which such a program needs:\n" + "\n".join(f"  - {r}" for r in refused),
        "Turn on a provider with a larger model (a key in the server's environment, or an Ollama), "
        "or take one in spite of this with --model",
    )


def _wished(server: Server, models: Iterable[ChatModel], wish: str) -> ChatModel:
    from difflib import get_close_matches

    named = {model.id: model for model in models}
    found = named.get(wish) or next((m for m in named.values() if m.id.partition("/")[2] == wish), None)
    if found is None:
        close = get_close_matches(wish, named, n=3, cutoff=0.4) or list(named)[:3]
        hint = f"Did you mean {' or '.join(close)}?" if close else "`llama stack models` lists what it offers"
        raise Failure(f"{server.url} offers no chat model {wish!r}", hint, exit_code=USAGE)
    return found


def _chat_model(item: Any) -> ChatModel | None:
    about = item.get("custom_metadata") or {} if isinstance(item, dict) else {}
    if about.get("model_type") != "llm" or not isinstance(item.get("id"), str):
        return None
    calls, length = about.get("tool_calling"), about.get("context_length")
    return ChatModel(
        item["id"], calls if isinstance(calls, bool) else None, length if isinstance(length, int) else None
    )
