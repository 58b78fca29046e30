"""Gemini's API and Vertex AI on loopback: a real HTTP server that speaks generateContent by script and refuses what
Google refuses.

    with GeminiUpstream(key="k") as up:
        up.reply(says("Hello"))                                           # the next request
        up.reply(says(thought("Hm."), call("weather", {"city": "Graz"}), call("weather", {"city": "Linz"})))
        up.reply(failure(429, retry_delay="31s"))
        ...                                                               # base_url: up.url

It is the `Upstream` of tests/support/upstream.py with another tongue, and Google's habits: every event of a stream is a
reply with the usage so far, a call comes whole, the signature of an answer in words comes under an empty text with the
reason of the end, which is STOP of calls, too. `python -m tests.support.gemini_upstream` prints its address.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.gemini_upstream_contract import Violation, check_generate, is_newest, signature_of
from tests.support.upstream import Recorded, Reply, Upstream, embeddings
from tests.support.upstream_wire import Answer, Wire

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
RPC = "type.googleapis.com/google.rpc."
_METHOD = re.compile(r".*/(?P<model>[^/]+):(?P<method>[a-zA-Z]+)")


@dataclass(frozen=True, slots=True)
class GeminiWire(Wire):
    """Google's line ends, and no `[DONE]`."""

    newline: str = "\r\n"
    done: bool = False


def text(value: str) -> dict[str, Any]:
    return {"text": value}


def thought(value: str) -> dict[str, Any]:
    return {"text": value, "thought": True}


def call(name: str, arguments: Mapping[str, Any], identifier: str | None = None) -> dict[str, Any]:
    named = {} if identifier is None else {"id": identifier}
    return {"functionCall": {**named, "name": name, "args": dict(arguments)}}


@dataclass(frozen=True, slots=True)
class Says:
    """An answer, streamed if the address asks for it. `pieces` are the events of its last text.

    `members` are further ones of the candidate (`groundingMetadata`, `finishMessage`), told at its end. `signs`: the
    newest models' answers are signed; None: as the model does.
    """

    parts: Sequence[Mapping[str, Any]]
    finish_reason: str = "STOP"
    prompt_tokens: int = 9
    usage: Mapping[str, Any] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)
    pieces: Sequence[str] | None = None
    signs: bool | None = None
    reply_id: str = "reply-1"
    wire: Wire = field(default_factory=GeminiWire)

    def __call__(self, request: Recorded) -> Answer:
        model, method = model_and_method(request.path)
        signs = is_newest(model) if self.signs is None else self.signs
        count = request.body.get("generationConfig", {}).get("candidateCount", 1)
        if method == "streamGenerateContent":
            assert request.query.get("alt") == "sse", "without alt=sse Google streams one JSON array"
            return self.wire.events(list(self.events(model, signs, count)))
        parts = [*self.signed(signs)]
        ended = {"finishReason": self.finish_reason, **self.members}
        whole = [self._candidate(at, parts, **ended) for at in range(count)]
        return self.wire.json(self._reply(model, whole, self.words))

    def signed(self, signs: bool) -> Iterator[dict[str, Any]]:
        """The parts, the signature on the first call or else on the last text."""
        calls = [at for at, part in enumerate(self.parts) if "functionCall" in part]
        texts = [at for at, part in enumerate(self.parts) if "text" in part and not part.get("thought")]
        place = calls[0] if calls else texts[-1] if texts else -1
        for at, part in enumerate(self.parts):
            yield {**part, "thoughtSignature": self.signature} if signs and at == place else dict(part)

    def events(self, model: str, signs: bool, count: int) -> Iterator[dict[str, Any]]:
        parts = list(self._streamed(signs))
        for number, part in enumerate(parts):
            said = sum(_words(each) for each in parts[: number + 1])
            last = number == len(parts) - 1
            ended = {"finishReason": self.finish_reason, **self.members} if last else {}
            yield self._reply(model, [self._candidate(at, [part], **ended) for at in range(count)], said)

    def _streamed(self, signs: bool) -> Iterator[dict[str, Any]]:
        calls = any("functionCall" in part for part in self.parts)
        for part in self.signed(signs):
            if "text" not in part:
                yield part
                continue
            signature = part.pop("thoughtSignature", None)
            whole = self.pieces is None or part.get("thought")
            for piece in re.findall(r"\s*\S+|\s+$", part["text"]) if whole else self.pieces or ():
                yield {**part, "text": piece}
            if signature is not None:
                yield {"text": "", "thoughtSignature": signature}
        if not calls and not signs:
            yield {"text": ""}

    @property
    def signature(self) -> str:
        return signature_of("".join(part.get("text", "") for part in self.parts if part.get("thought")))

    @property
    def words(self) -> int:
        return sum(_words(part) for part in self.parts)

    def _candidate(self, at: int, parts: Sequence[Mapping[str, Any]], **members: Any) -> dict[str, Any]:
        index = {"index": at} if at else {}  # Google leaves out what is 0
        content = {"content": {"role": "model", "parts": list(parts)}} if parts else {}
        return {**content, **index, **members}

    def _reply(self, model: str, candidates: Sequence[Any], said: int) -> dict[str, Any]:
        counted = {"promptTokenCount": self.prompt_tokens, "candidatesTokenCount": said}
        usage = {**counted, "totalTokenCount": self.prompt_tokens + said, **self.usage}
        return {"candidates": candidates, "usageMetadata": usage, "modelVersion": model, "responseId": self.reply_id}


def says(*parts: str | Mapping[str, Any], **options: Any) -> Says:
    """An answer of these parts; a string is a text."""
    return Says([text(part) if isinstance(part, str) else part for part in parts], **options)


@dataclass(frozen=True, slots=True)
class Blocked:
    """A prompt that Google does not let through, which is no error of HTTP's."""

    reason: str = "PROHIBITED_CONTENT"

    def __call__(self, request: Recorded) -> Answer:
        usage = {"promptTokenCount": 9, "totalTokenCount": 9}
        said = {"promptFeedback": {"blockReason": self.reason}, "usageMetadata": usage, "modelVersion": "m"}
        streamed = model_and_method(request.path)[1].startswith("stream")
        return GeminiWire().events([said]) if streamed else Wire().json(said)


def failure(
    status: int, message: str = "The upstream says no.", *, retry_delay: str | None = None, reason: str | None = None
) -> Answer:
    return Wire().json(error_body(status, message, retry_delay=retry_delay, reason=reason), status)


def error_body(
    status: int, message: str, *, retry_delay: str | None = None, reason: str | None = None
) -> dict[str, Any]:
    details: list[dict[str, Any]] = []
    if reason is not None:
        details.append({"@type": f"{RPC}ErrorInfo", "reason": reason, "domain": "googleapis.com"})
    if status == 429:
        violation = {"quotaMetric": "generativelanguage.googleapis.com/requests", "quotaId": "RequestsPerMinute"}
        details.append({"@type": f"{RPC}QuotaFailure", "violations": [violation]})
    if retry_delay is not None:
        details.append({"@type": f"{RPC}RetryInfo", "retryDelay": retry_delay})
    error = {"code": status, "message": message, "status": STATUSES.get(status, "UNKNOWN")}
    return {"error": error | ({"details": details} if details else {})}


@dataclass(frozen=True, slots=True)
class Pages:
    """A list in pages as they are asked for."""

    member: str
    entries: Sequence[Mapping[str, Any]]
    size_max: int = 1000

    def __call__(self, request: Recorded) -> Answer:
        at = int(request.query.get("pageToken", "0"))
        end = at + min(int(request.query.get("pageSize", "50")), self.size_max)
        more = {"nextPageToken": str(end)} if end < len(self.entries) else {}
        return Wire().json({self.member: list(self.entries[at:end]), **more})


def embedded(request: Recorded) -> Answer:
    """Vectors by any of the methods that make some."""
    method, body = model_and_method(request.path)[1], request.body
    if method == "batchEmbedContents":
        for each in body["requests"]:
            assert each["model"].startswith("models/"), "each request names the model"
        vectors = [_vector(_text(each["content"]), each) for each in body["requests"]]
        usage = {"promptTokenCount": 3 * len(vectors)}
        return Wire().json({"embeddings": [{"values": vector} for vector in vectors], "usageMetadata": usage})
    if method == "embedContent":
        vector = _vector(_text(body["content"]), body)
        return Wire().json({"embedding": {"values": vector}, "usageMetadata": {"promptTokenCount": 3}})
    instances, size = body["instances"], body.get("parameters", {})
    if "gemini-embedding-001" in request.path and len(instances) > 1:
        return failure(400, "Gemini embedding models take one instance at a time.")
    counted = {"statistics": {"token_count": 3, "truncated": False}}
    made = [{"embeddings": {"values": _vector(each["content"], size), **counted}} for each in instances]
    return Wire().json({"predictions": made})


class GeminiUpstream(Upstream):
    """The server. `key`: the one key (or token) that it accepts; None: any."""

    def __init__(self, *, key: str | None = None) -> None:
        super().__init__()
        self._key = key
        self.violations: list[str] = []
        self.defaults = DEFAULTS

    def _answer_to(self, request: Recorded) -> Answer:
        try:
            return self._refusal(request) or super()._answer_to(request)
        except Violation as wrong:
            self.violations.append(str(wrong))
            return failure(400, str(wrong))

    def _refusal(self, request: Recorded) -> Answer | None:
        if not request.path.startswith(("/v1/", "/v1beta/", "/v1beta1/")):
            return None
        given = request.headers.get("x-goog-api-key") or request.headers.get("authorization", "").removeprefix(
            "Bearer "
        )
        if not given:
            return failure(403, "Method doesn't allow unregistered callers (callers without established identity).")
        if self._key is not None and given != self._key:
            return failure(400, "API key not valid. Please pass a valid API key.", reason="API_KEY_INVALID")
        if request.method == "POST":
            model, method = model_and_method(request.path)
            self._check(request, model, method)
        return None

    def _check(self, request: Recorded, model: str, method: str) -> None:
        vertex = "/projects/" in request.path
        body = request.body
        if method in ("generateContent", "streamGenerateContent"):
            check_generate(body, model, vertex=vertex)
        elif method == "countTokens" and vertex:
            if unknown := set(body) - {"contents", "systemInstruction", "tools", "generationConfig"}:
                raise Violation(f'Invalid JSON payload received. Unknown name "{min(unknown)}": Cannot find field.')
            check_generate(body, model, vertex=True)
        elif method == "countTokens":
            inner = dict(body["generateContentRequest"])
            if inner.pop("model", None) != f"models/{model}":
                raise Violation("* CountTokensRequest.generate_content_request.model: unexpected model name format")
            check_generate(inner, model, vertex=False)


def model_and_method(path: str) -> tuple[str, str]:
    found = _METHOD.fullmatch(path)
    return (found["model"], found["method"]) if found else ("", "")


def _words(part: Mapping[str, Any]) -> int:
    if "functionCall" in part:
        return 7
    return 0 if part.get("thought") else len(part.get("text", "").split())


def _text(content: Mapping[str, Any]) -> str:
    return "".join(part["text"] for part in content["parts"])


def _vector(value: str, asked: Mapping[str, Any]) -> list[float]:
    made = embeddings()
    return made.vector(value, asked.get("outputDimensionality", made.dimension))


DEFAULTS: Mapping[str, Reply] = {
    ":generateContent": says("Hello from Gemini."),
    ":streamGenerateContent": says("Hello from Gemini."),
    ":countTokens": Wire().json({"totalTokens": 17, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 17}]}),
    ":batchEmbedContents": embedded,
    ":embedContent": embedded,
    ":predict": embedded,
    "/models": Pages("models", [{"name": "models/gemini-3-flash", "supportedGenerationMethods": ["generateContent"]}]),
}

if __name__ == "__main__":
    with GeminiUpstream() as upstream:
        print(upstream.url, flush=True)
        sys.stdin.read()
