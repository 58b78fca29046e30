"""What can be told of a remote provider; `cases` tells it of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llama_stack_api.ports.inference import ModelType, ProviderModel
from tests.support.upstream import Reply, Say, Upstream, Wire, embeddings, ranking

LLM, EMBEDDING, RERANK = ModelType.llm, ModelType.embedding, ModelType.rerank
KEY = "sk-configured-5e9bb1"
Body = Mapping[str, Any]
UNKNOWN: Body = {"top_k": 40, "x_vendor": {"deep": [1, None]}}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


@dataclass(frozen=True, slots=True)
class Listing:
    """The provider's own listing, by path, and the models that it means."""

    replies: Mapping[str, Reply]
    models: list[ProviderModel]


@dataclass(frozen=True, slots=True)
class Case:
    """`paths`: of chat, streamed chat, completion, embeddings and rerank where it has them.

    `tongue`: the kind of the upstream, a key of `conftest.upstreams`; `speaks` puts what a model says into it, and
    `as_chat` a request back into a chat completion's.
    `sees`: it takes images. `knows_schemas`: it writes JSON by a schema.
    `called`: its name where a type has several cases.
    `embedder`, `ranker`: models of that kind, where a name matters.
    `members` are those of a request, where they are not at its top. `signs`: it sends signatures and no key.
    `thinks`: its answers hold thoughts; `thinks_aloud`: it is sent them again. `names_calls`: calls have ids.
    `say`, `wire`: the upstream's habits in what it says. `unknown`: members beyond OpenAI's that it is sent.
    `rewritten`: what a client sends, what arrives instead (None: it must not arrive). `refused`: what a client sends,
    the parameter that is named.
    """

    type: str
    paths: Mapping[str, str]
    listing: Listing
    config: Callable[[Upstream], dict[str, Any]] = lambda up: {"base_url": up.base_url}
    key_header: str = "authorization"
    key_prefix: str = "Bearer "
    key_needed: bool = True
    data_key: str = ""
    error_shape: str = "openai"
    tongue: str = "openai"
    speaks: Callable[[Say], Reply] = lambda say: say
    as_chat: Callable[[Body], Body] = lambda body: body
    members: Callable[[Body], Body] = lambda body: body
    signs: bool = False
    unknown: Body = field(default_factory=lambda: UNKNOWN)
    thinks_aloud: bool = True
    thinks: bool = True
    names_calls: bool = True
    sees: bool = True
    knows_schemas: bool = True
    called: str = ""
    say: Mapping[str, Any] = field(default_factory=dict)
    wire: Wire = field(default_factory=Wire)
    rank: Callable[..., Reply] = ranking
    embed: Reply = field(default_factory=embeddings)
    embedder: str = "e-1"
    ranker: str = "r-1"
    rewritten: tuple[tuple[Body, Body], ...] = ()
    refused: tuple[tuple[Body, str], ...] = ()
    embed_refused: tuple[tuple[Body, str], ...] = ()

    @property
    def name(self) -> str:
        return self.called or self.type.partition("::")[2]
