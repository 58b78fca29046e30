"""Where an OpenAI-compatible upstream differs from OpenAI, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llama_stack_api.errors import UnsupportedParameter


@dataclass(frozen=True, slots=True)
class Quirks:
    """Differences of one upstream.

    `key_header`, `key_prefix`: how the key is sent (`Authorization: Bearer …` unless said otherwise).
    `key_required`: without a key no call can succeed, so none is made.
    `root`: the path that is meant by an address without one (`/v1`).
    `rename`: a parameter to the name that the upstream has for it; if both are given, the upstream's own wins.
    `refuse`: parameters that it cannot honour, each with the values that mean nothing and are left out (`n=1`).
    `values`: a parameter's values that it calls otherwise (`tool_choice: required` is `any` at Mistral's).
    `defaults`: members that every request needs unless given.
    `stream_usage`: it takes `stream_options.include_usage`; False: it takes no such option and always sends the usage.
    `embedding_models`: known embedding models with their dimensions; the listing says nothing of them.
    `unlisted`: patterns of listed models that neither chat nor embed (`whisper*`); they are left out.
    `thoughts`: the member of an assistant's message in which it takes what the model thought before, if it does.
    `embeddings`: what differs in the requests for embeddings, to which the above does not apply.
    `reshape`: what cannot be said by the above: a pure function over the request's body, in place.
    """

    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    key_required: bool = True
    root: str = ""
    rename: Mapping[str, str] = field(default_factory=dict)
    refuse: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    stream_usage: bool = True
    embedding_models: Mapping[str, int] = field(default_factory=dict)
    unlisted: tuple[str, ...] = ()
    thoughts: str | None = None
    embeddings: Quirks | None = None
    reshape: Callable[[dict[str, Any]], None] | None = None

    members: frozenset[str] = field(init=False)
    """The parameters that any of this speaks of."""

    def __post_init__(self) -> None:
        options = () if self.stream_usage else ("stream_options",)
        object.__setattr__(self, "members", frozenset((*self.rename, *self.refuse, *self.values, *options)))

    def concern(self, given: set[str]) -> bool:
        """Whether a request with these parameters has to be looked at, member by member. Most need not be."""
        return bool(self.defaults or self.reshape) or not self.members.isdisjoint(given)

    def apply(self, body: dict[str, Any], provider: str) -> None:
        """Rewrite a request's body in place. `UnsupportedParameter` names what the upstream cannot honour."""
        self._refuse(body, provider)
        for old, new in self.rename.items():
            if old in body:
                value = body.pop(old)
                body.setdefault(new, value)
        for name, values in self.values.items():
            if isinstance(said := body.get(name), str) and said in values:
                body[name] = values[said]
        for name, value in self.defaults.items():
            body.setdefault(name, value)
        if not self.stream_usage:
            body.pop("stream_options", None)
        if self.reshape is not None:
            self.reshape(body)

    def _refuse(self, body: dict[str, Any], provider: str) -> None:
        for name, harmless in self.refuse.items():
            if name not in body:
                continue
            if _asks_for_something(body[name], harmless):
                raise UnsupportedParameter(
                    f"Provider '{provider}' does not support '{name}'; leave it out, or use another model.", param=name
                )
            del body[name]


NO_QUIRKS = Quirks()

ENGINES_IGNORE: Mapping[str, tuple[Any, ...]] = {
    "audio": (),
    "function_call": (),
    "functions": (),
    "modalities": (["text"],),
    "moderation": (),
    "web_search_options": (),
}
"""What the open inference engines read over without a word, and so must be refused ahead of them."""


def _asks_for_something(value: Any, harmless: tuple[Any, ...]) -> bool:
    return value is not None and not any(value == other and type(value) is type(other) for other in harmless)
