"""What a model says: replies that render themselves for the request that they answer, streamed or whole.

A reply is a callable from the recorded request to an `Answer`; `text(…)`, `calls(…)`, `embeddings(…)`, `ranking(…)`
and `models(…)` make them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tests.support.upstream_wire import Answer, Wire

if TYPE_CHECKING:
    from tests.support.upstream import Recorded

CREATED = 1_700_000_000
UsageHabit: TypeAlias = Literal["asked", "always", "last_choice", "x_groq", "never"]
RankShape: TypeAlias = Literal["results", "tei", "nvidia"]

DIMENSIONS_MAX = 10_000
"""Of a vector, whatever a request asks for."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One call of a function; `arguments` as a dict, or as the text that the model wrote."""

    name: str
    arguments: Mapping[str, Any] | str
    id: str = "call_1"

    @property
    def text(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True, slots=True)
class Say:
    """A chat completion, or a legacy completion where the request asks for one.

    usage   in a stream: `asked` (only with stream_options.include_usage, in a chunk without choices, as OpenAI),
            `always` (the same, unasked), `last_choice` (in the chunk with the finish reason), `x_groq` (there, under
            `x_groq.usage`, and as `asked`), `never`
    pieces  how the text is split in a stream; by words if None
    omit    members that the provider leaves out of its objects (`object`)
    """

    content: str | None = None
    tools: tuple[Tool, ...] = ()
    reasoning: str | None = None
    reasoning_field: str = "reasoning_content"
    refusal: str | None = None
    finish_reason: str | None = None
    usage: UsageHabit = "asked"
    prompt_tokens: int = 9
    cached_tokens: int = 0
    pieces: Sequence[str] | None = None
    id: str = "chatcmpl-upstream-1"
    omit: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    wire: Wire = field(default_factory=Wire)

    def __call__(self, request: Recorded) -> Answer:
        body = request.body if isinstance(request.body, dict) else {}
        legacy = request.path.endswith("/completions") and "messages" not in body
        render = _Legacy(self, body) if legacy else _Chat(self, body)
        if body.get("stream") or request.path.endswith("_stream"):
            return self.wire.events(list(render.chunks()), self.headers)
        return self.wire.json(render.whole(), headers=self.headers)

    @property
    def split(self) -> list[str]:
        return list(self.pieces) if self.pieces is not None else re.findall(r"\S+\s*|\s+", self.content or "")

    @property
    def reason(self) -> str:
        return self.finish_reason or ("tool_calls" if self.tools else "stop")

    def token_usage(self, n: int) -> dict[str, Any]:
        """Words count as tokens, so that every figure can be told in advance."""
        answer = (len(self.split) + len(self.tools) * 7) * n
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": answer,
            "total_tokens": self.prompt_tokens + answer,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }


class _Chat:
    def __init__(self, say: Say, body: Mapping[str, Any]) -> None:
        self.say, self.body = say, body
        self.n = int(body.get("n") or 1)

    def whole(self) -> dict[str, Any]:
        choices = [
            {
                "index": index,
                "message": self._message(),
                "logprobs": self._logprobs(self.say.split),
                "finish_reason": self.say.reason,
            }
            for index in range(self.n)
        ]
        head = self._head("chat.completion") | {"choices": choices} | dict(self.say.extra)
        return head if self.say.usage == "never" else head | {"usage": self.say.token_usage(self.n)}

    def chunks(self) -> Iterator[dict[str, Any]]:
        for index in range(self.n):
            yield self._chunk(index, {"role": "assistant", "content": None if self.say.tools else ""})
        for delta, piece in self._deltas():
            for index in range(self.n):
                yield self._chunk(index, delta, logprobs=self._logprobs([piece]) if piece is not None else None)
        for index in range(self.n):
            yield self._chunk(index, {}, finish=self.say.reason) | self._usage_at_finish(index)
        asked = bool((self.body.get("stream_options") or {}).get("include_usage"))
        if self.say.usage == "always" or (self.say.usage in ("asked", "x_groq") and asked):
            yield self._head("chat.completion.chunk") | {"choices": [], "usage": self.say.token_usage(self.n)}

    def _head(self, kind: str) -> dict[str, Any]:
        head = {
            "id": self.say.id,
            "object": kind,
            "created": CREATED,
            "model": self.body.get("model", "upstream-model"),
            "system_fingerprint": "fp_upstream",
        }
        return {name: value for name, value in head.items() if name not in self.say.omit}

    def _message(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.say.content, "refusal": self.say.refusal}
        if self.say.reasoning is not None:
            message[self.say.reasoning_field] = self.say.reasoning
        if self.say.tools:
            message["tool_calls"] = [
                {"id": tool.id, "type": "function", "function": {"name": tool.name, "arguments": tool.text}}
                for tool in self.say.tools
            ]
        return message

    def _deltas(self) -> Iterator[tuple[dict[str, Any], str | None]]:
        for piece in re.findall(r"\S+\s*|\s+", self.say.reasoning or ""):
            yield {self.say.reasoning_field: piece}, None
        for piece in self.say.split:
            yield {"content": piece}, piece
        if self.say.refusal:
            yield {"refusal": self.say.refusal}, None
        for index, tool in enumerate(self.say.tools):
            yield (
                {
                    "tool_calls": [
                        {
                            "index": index,
                            "id": tool.id,
                            "type": "function",
                            "function": {"name": tool.name, "arguments": ""},
                        }
                    ]
                },
                None,
            )
            for at in range(0, len(tool.text), 5):
                yield {"tool_calls": [{"index": index, "function": {"arguments": tool.text[at : at + 5]}}]}, None

    def _chunk(
        self, index: int, delta: dict[str, Any], *, finish: str | None = None, logprobs: Any = None
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return self._head("chat.completion.chunk") | {"choices": [choice]} | dict(self.say.extra)

    def _usage_at_finish(self, index: int) -> dict[str, Any]:
        if index < self.n - 1:
            return {}
        usage = self.say.token_usage(self.n)
        if self.say.usage == "last_choice":
            return {"usage": usage}
        return {"x_groq": {"id": "req_1", "usage": usage}} if self.say.usage == "x_groq" else {}

    def _logprobs(self, pieces: Sequence[str]) -> dict[str, Any] | None:
        if not self.body.get("logprobs"):
            return None
        top = int(self.body.get("top_logprobs") or 0)
        return {"content": [_token(piece, top) for piece in pieces], "refusal": None}


def _token(piece: str, top: int) -> dict[str, Any]:
    alternatives = [{"token": f"{piece}{rank}", "logprob": -1.0 - rank, "bytes": None} for rank in range(top)]
    return {"token": piece, "logprob": -0.25, "bytes": list(piece.encode()), "top_logprobs": alternatives}


class _Legacy:
    """The same words through `/completions`: one choice for each prompt and each of `n`."""

    def __init__(self, say: Say, body: Mapping[str, Any]) -> None:
        self.say, self.body = say, body
        prompt = body.get("prompt", "")
        batch = isinstance(prompt, list) and bool(prompt) and isinstance(prompt[0], str | list)
        self.n = int(body.get("n") or 1) * (len(prompt) if batch else 1)

    def whole(self) -> dict[str, Any]:
        choices = [self._choice(index, self.say.content or "", self.say.reason) for index in range(self.n)]
        return self._head() | {"choices": choices, "usage": self.say.token_usage(self.n)} | dict(self.say.extra)

    def chunks(self) -> Iterator[dict[str, Any]]:
        for piece in self.say.split:
            for index in range(self.n):
                yield self._head() | {"choices": [self._choice(index, piece, None)]}
        for index in range(self.n):
            yield self._head() | {"choices": [self._choice(index, "", self.say.reason)]}
        if self.say.usage == "always" or (self.body.get("stream_options") or {}).get("include_usage"):
            yield self._head() | {"choices": [], "usage": self.say.token_usage(self.n)}

    def _head(self) -> dict[str, Any]:
        return {
            "id": "cmpl-upstream-1",
            "object": "text_completion",
            "created": CREATED,
            "model": self.body.get("model", "upstream-model"),
        }

    def _choice(self, index: int, piece: str, reason: str | None) -> dict[str, Any]:
        return {"index": index, "text": piece, "logprobs": None, "finish_reason": reason}


def text(content: str, **options: Any) -> Say:
    """The model says `content`. Options: the fields of `Say`."""
    return Say(content=content, **options)


def calls(*tools: Tool, **options: Any) -> Say:
    """The model calls functions."""
    return Say(tools=tools, **options)


@dataclass(frozen=True, slots=True)
class embeddings:  # noqa: N801 - reads as a verb in a script
    """Unit-less vectors derived from each input's hash, so that equal inputs give equal vectors. TEI's `/embed` too."""

    dimension: int = 8
    wire: Wire = field(default_factory=Wire)

    def __call__(self, request: Recorded) -> Answer:
        body = request.body or {}
        if request.path.endswith("/embed"):
            return self.wire.json([self.vector(item) for item in _inputs(body["inputs"])])
        inputs = _inputs(body["input"])
        dimension = min(int(body.get("dimensions") or self.dimension), DIMENSIONS_MAX)
        vectors = [self.vector(item, dimension) for item in inputs]
        shown = [_base64(v) for v in vectors] if body.get("encoding_format") == "base64" else vectors
        data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(shown)]
        usage = {"prompt_tokens": 3 * len(inputs), "total_tokens": 3 * len(inputs)}
        return self.wire.json({"object": "list", "data": data, "model": body.get("model"), "usage": usage})

    def vector(self, item: Any, dimension: int | None = None) -> list[float]:
        digest = hashlib.shake_256(json.dumps(item).encode()).digest(dimension or self.dimension)
        return [(byte - 128) / 128 for byte in digest]


def _inputs(value: Any) -> list[Any]:
    single = isinstance(value, str) or (isinstance(value, list) and bool(value) and isinstance(value[0], int))
    return [value] if single else list(value)


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


@dataclass(frozen=True, slots=True)
class ranking:  # noqa: N801 - reads as a verb in a script
    """Scores for the documents of a rerank request, by their position in it; best first, as rerankers answer.

    Without `scores`, the share of the query's words that a document has.
    """

    scores: Sequence[float] | None = None
    shape: RankShape = "results"
    wire: Wire = field(default_factory=Wire)

    def __call__(self, request: Recorded) -> Answer:
        scores = _overlaps(request.body) if self.scores is None else self.scores
        ranked = sorted(enumerate(scores), key=lambda pair: -pair[1])
        if self.shape == "tei":
            return self.wire.json([{"index": index, "score": score} for index, score in ranked])
        if self.shape == "nvidia":
            return self.wire.json({"rankings": [{"index": index, "logit": score} for index, score in ranked]})
        ranked = ranked[: (request.body or {}).get("top_n") or len(ranked)]
        results = [{"index": index, "relevance_score": score} for index, score in ranked]
        return self.wire.json({"id": "rerank-1", "results": results, "usage": {"total_tokens": 12}})


def _overlaps(body: Mapping[str, Any]) -> list[float]:
    words = set(str(body["query"]).lower().split())
    documents = body.get("documents") or body.get("texts") or ()
    return [len(words & set(str(document).lower().split())) / max(1, len(words)) for document in documents]


def models(*entries: str | Mapping[str, Any], bare: bool = False, key: str = "data") -> Answer:
    """A listing: ids, or entries with the provider's own fields. `bare`: a list without an envelope (Together)."""
    listed = [
        {"id": entry, "object": "model", "created": CREATED, "owned_by": "upstream"}
        if isinstance(entry, str)
        else dict(entry)
        for entry in entries
    ]
    return Wire().json(listed if bare else {"object": "list", key: listed})
