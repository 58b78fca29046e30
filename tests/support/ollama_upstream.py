"""Ollama on loopback: a real HTTP server that speaks its own API beside OpenAI's, and refuses what Ollama refuses.

    async with OllamaUpstream() as up:
        up.always(ollama_says(text("Hello")), on="/api/chat")
        up.models = {"llama3.2:3b": TALKS | {…}}           # what it has pulled, by name: the reply of /api/show
        up.library = {"qwen3": TALKS}                      # what it can pull
        ...                                                # call up.url (without /v1)

A request to its own routes is held to the contract (ollama_upstream_contract.py) before any reply is given.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.ollama_upstream_contract import CHECKS, Violation
from tests.support.upstream import Recorded, Reply, Upstream
from tests.support.upstream_errors import error
from tests.support.upstream_replies import Say, embeddings, text
from tests.support.upstream_wire import Answer, Wire, dumps

CREATED = "2026-01-01T00:00:00.123456789Z"
NDJSON = {"content-type": "application/x-ndjson"}
TALKS: Mapping[str, Any] = {
    "capabilities": ["completion", "tools", "vision"],
    "details": {"family": "llama", "families": ["llama"]},
    "model_info": {"general.architecture": "llama", "llama.context_length": 131072, "llama.embedding_length": 3072},
}
EMBEDS: Mapping[str, Any] = {
    "capabilities": ["embedding"],
    "details": {"family": "nomic-bert", "families": ["nomic-bert"]},
    "model_info": {"nomic-bert.context_length": 2048, "nomic-bert.embedding_length": 8},
}


@dataclass(frozen=True, slots=True)
class LinesWire(Wire):
    """A JSON object on each line."""

    done: bool = False

    def _event(self, number: int, event: Any) -> bytes:
        return (event.encode() if isinstance(event, str) else dumps(event)) + self.newline.encode()


def lines_wire(wire: Wire) -> LinesWire:
    return LinesWire(**{name: getattr(wire, name) for name in Wire.__dataclass_fields__ if name != "done"})


@dataclass(frozen=True, slots=True)
class ollama_says:  # noqa: N801 - reads as a verb in a script
    """What a model says, by `/api/chat` where that is asked, else in OpenAI's words."""

    say: Say

    def __call__(self, request: Recorded) -> Answer:
        if request.path == "/api/embed":
            return embed(request)
        if request.path != "/api/chat":
            return self.say(request)
        wire, body = lines_wire(self.say.wire), request.body
        if body.get("stream", True):
            return wire.events(list(self._lines(body)), NDJSON)
        return wire.json(self._line(body, self._message(), self._end()))

    def _lines(self, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for word in (self.say.reasoning or "").split(" ") if self.say.reasoning else ():
            yield self._line(body, {"role": "assistant", "content": "", "thinking": word + " "})
        for piece in self.say.split:
            logprobs = [{"token": piece, "logprob": -0.25, "bytes": list(piece.encode())}]
            more = {"logprobs": logprobs} if body.get("logprobs") else {}
            yield self._line(body, {"role": "assistant", "content": piece}, more)
        for call in self._message().get("tool_calls", ()):
            yield self._line(body, {"role": "assistant", "content": "", "tool_calls": [call]})
        yield self._line(body, {"role": "assistant", "content": ""}, self._end())

    def _line(self, body: Mapping[str, Any], message: Mapping[str, Any], end: Mapping[str, Any] | None = None) -> Any:
        return {"model": body["model"], "created_at": CREATED, "message": message, "done": False, **(end or {})}

    def _message(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.say.split)}
        if self.say.reasoning:
            message["thinking"] = self.say.reasoning
        if self.say.tools:
            message["tool_calls"] = [
                {"id": tool.id, "function": {"index": index, "name": tool.name, "arguments": json.loads(tool.text)}}
                for index, tool in enumerate(self.say.tools)
            ]
        return message

    def _end(self) -> dict[str, Any]:
        usage = self.say.token_usage(1)
        return {
            "done": True,
            "done_reason": "length" if self.say.reason == "length" else "stop",
            "total_duration": 5_000_000,
            "load_duration": 1_000_000,
            "prompt_eval_count": usage["prompt_tokens"],
            "eval_count": usage["completion_tokens"],
        }


def embed(request: Recorded) -> Answer:
    """Vectors by `/api/embed`."""
    given = request.body["input"]
    inputs = given if isinstance(given, list) else [given]
    made = embeddings()
    vectors = [made.vector(one, request.body.get("dimensions")) for one in inputs]
    return Wire().json({"model": request.body["model"], "embeddings": vectors, "prompt_eval_count": 3 * len(inputs)})


def failure(status: int, message: str) -> Answer:
    return error(status, message, shape="string")


class OllamaUpstream(Upstream):
    """`key`: the one key that it accepts; None: any, or none. `native=False`: a proxy with OpenAI's routes alone."""

    def __init__(self, *, native: bool = True) -> None:
        super().__init__()
        self._native = native
        self.models: dict[str, Mapping[str, Any]] = {"llama3.2:3b": TALKS, "nomic-embed-text:latest": EMBEDS}
        self.library: dict[str, Mapping[str, Any]] = {}
        self.loaded: list[str] = []
        self.defaults = {**_DEFAULTS, "/v1/models": self._listed}
        if native:
            self.defaults = {
                **_NATIVE,
                **self.defaults,
                "/api/tags": self._tags,
                "/api/show": self._show,
                "/api/pull": self._pull,
                "/api/generate": self._load,
            }

    def _answer_to(self, request: Recorded) -> Answer:
        if request.path.startswith("/api/"):
            if not self._native:
                return failure(404, "404 page not found")
            try:
                CHECKS.get(request.path, lambda body: None)(request.body)
            except Violation as wrong:
                return failure(400, str(wrong))
        return super()._answer_to(request)

    def _listed(self, request: Recorded) -> Answer:
        data = [{"id": name, "object": "model", "created": 1, "owned_by": "library"} for name in self.models]
        return Wire().json({"object": "list", "data": data or None})

    def _tags(self, request: Recorded) -> Answer:
        models = [
            {"name": name, "model": name, "digest": digest_of(name), "size": 2_000_000, "details": shown["details"]}
            for name, shown in self.models.items()
        ]
        return Wire().json({"models": models})

    def _show(self, request: Recorded) -> Answer:
        shown = self.models.get(request.body["model"])
        return failure(404, f"model '{request.body['model']}' not found") if shown is None else Wire().json(shown)

    def _pull(self, request: Recorded) -> Answer:
        name, wire = request.body["model"], LinesWire()
        begun = {"status": "pulling manifest"}
        if name not in self.library:
            return wire.events([begun, {"error": "pull model manifest: file does not exist"}], NDJSON)
        part = {"status": f"pulling {digest_of(name)[:12]}", "digest": f"sha256:{digest_of(name)}", "total": 1000}
        fetched = [part, *({**part, "completed": at} for at in (250, 500, 1000))]
        self.models[name if ":" in name else f"{name}:latest"] = self.library[name]
        ends = [{"status": status} for status in ("verifying sha256 digest", "writing manifest", "success")]
        return wire.events([begun, *fetched, *ends], NDJSON)

    def _load(self, request: Recorded) -> Answer:
        name = request.body["model"]
        if name not in self.models:
            return failure(404, f"model '{name}' not found, try pulling it first")
        if "embedding" in self.models[name]["capabilities"]:
            return failure(400, f'"{name}" does not support generate')
        self.loaded.append(name)
        return Wire().json({"model": name, "response": "", "done": True, "done_reason": "load"})


def digest_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


_DEFAULTS: dict[str, Reply] = {
    "/v1/chat/completions": text("Hello from Ollama."),
    "/v1/completions": text("Hello from Ollama."),
    "/v1/embeddings": embeddings(),
}
_NATIVE: dict[str, Reply] = {"/api/chat": ollama_says(text("Hello from Ollama.")), "/api/embed": embed}

if __name__ == "__main__":
    with OllamaUpstream() as upstream:
        print(upstream.url, flush=True)
        sys.stdin.read()
