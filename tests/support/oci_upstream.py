"""Oracle's Generative AI on loopback: its signatures are checked, and what it takes member by member.

    with OciUpstream() as up:                   # accepts KEY_ID under PRIVATE_KEY; `trust` more
        up.always(on_oci(text("Hello")))
        ...                                     # base_url: up.url

A signature is checked as Oracle documents it, from the bytes that arrived.
"""

from __future__ import annotations

import base64
import email.utils
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.oci_upstream_contract import Violation, check_chat, check_serving, members
from tests.support.upstream import Recorded, Reply, Upstream
from tests.support.upstream_replies import Say, text
from tests.support.upstream_wire import Answer, Wire

CHAT_PATH, EMBED_PATH, RERANK_PATH = (f"/20231130/actions/{action}" for action in ("chat", "embedText", "rerankText"))
SKEW_S = 300.0
TENANCY, USER = "ocid1.tenancy.oc1..t", "ocid1.user.oc1..u"
FINGERPRINT = "20:3b:97:13:55:1c"
COMPARTMENT = "ocid1.compartment.oc1..c"
KEY_ID = f"{TENANCY}/{USER}/{FINGERPRINT}"
_AUTHORIZATION = re.compile(
    r'Signature version="1",keyId="(?P<key>[^"]+)",algorithm="rsa-sha256",headers="(?P<names>[^"]+)",'
    r'signature="(?P<signature>[A-Za-z0-9+/=]+)"'
)
_FINISH = {"COHERE": {"stop": "COMPLETE", "tool_calls": "COMPLETE", "length": "MAX_TOKENS"},
           "COHEREV2": {"stop": "COMPLETE", "tool_calls": "TOOL_CALL", "length": "MAX_TOKENS"}}  # fmt: skip


def new_key() -> tuple[str, RSAPublicKey]:
    """A private key in PEM, and its public half."""
    key = generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return pem, key.public_key()


def refusal(status: int, code: str, message: str, **headers: str) -> Answer:
    return Wire().json({"code": code, "message": message}, status, {"opc-request-id": "OPC/1/2", **headers})


@dataclass(frozen=True, slots=True)
class OciWire(Wire):
    """Its streams end with the connection; each event is padded."""

    done: bool = False

    def _event(self, number: int, event: Any) -> bytes:
        return Wire._event(self, number, {**event, "pad": "aaa"} if isinstance(event, dict) else event)


@dataclass(frozen=True, slots=True)
class OnOci:
    """What a model says, in the format that it was asked in. `pieces_have_ids`: a call comes in pieces, each with an id
    of its own, as of gpt-oss; else whole."""

    say: Say
    pieces_have_ids: bool = True

    def __call__(self, request: Recorded) -> Answer:
        chat = request.body["chatRequest"]
        say = self.say
        if chat.get("isStream"):
            return say.wire.events(list(_events(say, chat["apiFormat"], self.pieces_have_ids)), say.headers)
        answer = {
            "modelId": request.body["servingMode"].get("modelId"),
            "modelVersion": "1.0",
            "chatResponse": _answer(say, chat["apiFormat"]),
        }
        return say.wire.json(answer, headers={"opc-request-id": "OPC/1/2", **say.headers})


def on_oci(say: Say, *, pieces_have_ids: bool = True) -> OnOci:
    shared = {name: getattr(say.wire, name) for name in Wire.__dataclass_fields__ if name != "done"}
    if isinstance(injected := say.wire.inject, tuple) and isinstance(injected[1], Mapping):
        error = injected[1]["error"]
        shared["inject"] = (injected[0], {"code": str(error.get("code", 500)), "message": error["message"]})
    return OnOci(replace(say, wire=OciWire(**shared)), pieces_have_ids)


def _answer(say: Say, form: str) -> dict[str, Any]:
    if form == "COHERE":
        calls = [{"name": tool.name, "parameters": json.loads(tool.text)} for tool in say.tools]
        return {
            "apiFormat": form,
            "text": say.content or "",
            "finishReason": _FINISH[form].get(say.reason, say.reason),
            "chatHistory": [{"role": "USER", "message": "?"}],
            "usage": _usage(say),
            **({"toolCalls": calls} if calls else {}),
        }
    if form == "COHEREV2":
        return {
            "apiFormat": form,
            "id": "1",
            "message": _message(say, form),
            "finishReason": _FINISH[form].get(say.reason, say.reason),
            "usage": _usage(say),
        }
    choice = {"index": 0, "message": _message(say, form), "finishReason": say.reason}
    return {"apiFormat": form, "timeCreated": "2026-01-01T00:00:00Z", "choices": [choice], "usage": _usage(say)}


def _message(say: Say, form: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "ASSISTANT"}
    parts = [{"type": "TEXT", "text": say.content}] if say.content else []
    if say.reasoning and form == "COHEREV2":
        parts = [{"type": "THINKING", "thinking": say.reasoning}, *parts]
    elif say.reasoning:
        message["reasoningContent"] = say.reasoning
    if parts:
        message["content"] = parts
    if say.tools:
        message["toolCalls"] = [_call(tool.id, tool.name, tool.text, form) for tool in say.tools]
    return message


def _call(call_id: str, name: str, arguments: str, form: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    inner = function if form == "GENERIC" else {"function": function}
    return {"id": call_id, "type": "FUNCTION", **inner}


def _usage(say: Say) -> dict[str, Any]:
    told = say.token_usage(1)
    return {
        "promptTokens": told["prompt_tokens"],
        "completionTokens": told["completion_tokens"],
        "totalTokens": told["total_tokens"],
        "promptTokensDetails": {"cachedTokens": say.cached_tokens},
    }


def _events(say: Say, form: str, pieces_have_ids: bool) -> Iterator[dict[str, Any]]:
    """The last event of Cohere's has all that was said once more."""
    if form == "COHERE":
        for piece in say.split:
            yield {"apiFormat": form, "text": piece}
        calls = [{"name": tool.name, "parameters": json.loads(tool.text)} for tool in say.tools]
        if calls:
            yield {"apiFormat": form, "text": say.content or "", "toolCalls": calls}
        yield _answer(say, form)
        return
    for piece in re.findall(r"\S+\s*|\s+", say.reasoning or ""):
        yield {"index": 0, "message": _message(Say(reasoning=piece), form)}
    for piece in say.split:
        yield {"index": 0, "message": {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": piece}]}}
    for tool in say.tools:
        if not pieces_have_ids:
            yield {"index": 0, "message": _message(Say(tools=(tool,)), form)}
            continue
        yield {"index": 0, "message": {"role": "ASSISTANT", "toolCalls": [_call(tool.id, tool.name, "", form)]}}
        for at in range(0, len(tool.text), 5):
            more = _call(f"p-{tool.id}-{at}", "", tool.text[at : at + 5], form)
            yield {"index": 0, "message": {"role": "ASSISTANT", "toolCalls": [more]}}
    if form == "COHEREV2":
        yield _answer(say, form)
    else:
        yield {"index": 0, "message": {"role": "ASSISTANT"}, "finishReason": say.reason}
        yield {"usage": _usage(say)}


@dataclass(frozen=True, slots=True)
class Pages:
    """The items of a listing, one to a page."""

    items: tuple[Mapping[str, Any], ...]

    def __call__(self, request: Recorded) -> Answer:
        assert request.query["compartmentId"] == COMPARTMENT
        at = int(request.query.get("page", "0"))
        more = {"opc-next-page": str(at + 1)} if at + 1 < len(self.items) else {}
        return Wire().json({"items": list(self.items[at : at + 1])}, headers=more)


class OciUpstream(Upstream):
    """`trusted`: public keys by the ids under which requests are signed."""

    def __init__(self) -> None:
        super().__init__()
        self.private_key, public = new_key()
        self.trusted: dict[str, RSAPublicKey] = {KEY_ID: public}
        self.violations: list[str] = []
        self.defaults = {
            "/actions/chat": on_oci(text("Hello from Oracle.")),
            "/20231130/models": Pages(()),
            "/20231130/endpoints": Pages(()),
        }

    def trust(self, key_id: str) -> str:
        """A new private key that is accepted under an id."""
        pem, self.trusted[key_id] = new_key()
        return pem

    async def _record(self, scope: Mapping[str, Any], receive: Any) -> Recorded:
        request = await super()._record(scope, receive)
        query = scope["query_string"].decode()
        request.headers[":target"] = scope["raw_path"].decode() + (f"?{query}" if query else "")
        return request

    def _answer_to(self, request: Recorded) -> Answer:
        if not request.path.startswith("/20231130/") or "/actions/v1/" in request.path:
            return super()._answer_to(request)
        try:
            self._check_signature(request)
        except (InvalidSignature, ValueError) as error:
            self.violations.append(f"signature: {error}")
            return refusal(401, "NotAuthenticated", "The required information to complete authentication was missing.")
        try:
            _CHECKS.get(request.path, lambda body: None)(request.body)
        except Violation as violation:
            self.violations.append(str(violation))
            return refusal(400, "InvalidParameter", str(violation))
        return super()._answer_to(request)

    def _check_signature(self, request: Recorded) -> None:
        found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if found is None:
            raise ValueError("no signature")
        names = found["names"].split(" ")
        needed = {"date", "(request-target)", "host"}
        if request.method != "GET":
            needed |= {"content-length", "content-type", "x-content-sha256"}
            digest = base64.b64encode(hashlib.sha256(request.raw).digest()).decode()
            if request.headers["x-content-sha256"] != digest:
                raise ValueError("the body is another one")
        if not needed <= set(names):
            raise ValueError("what must be signed is not")
        sent_at = email.utils.parsedate_to_datetime(request.headers["date"]).timestamp()
        if abs(sent_at - time.time()) > SKEW_S:
            raise ValueError("the clock is wrong")
        values = {**request.headers, "(request-target)": f"{request.method.lower()} {request.headers[':target']}"}
        signed = "\n".join(f"{name}: {values[name]}" for name in names)
        key = self.trusted.get(found["key"])
        if key is None:
            raise ValueError(f"nobody is {found['key']}")
        key.verify(base64.b64decode(found["signature"]), signed.encode(), PKCS1v15(), SHA256())


def vectors(made: Callable[[str], list[float]]) -> Reply:
    def answer(request: Recorded) -> Answer:
        inputs = request.body["inputs"]
        usage = {"promptTokens": 3 * len(inputs), "totalTokens": 3 * len(inputs)}
        return Wire().json({"id": "1", "embeddings": [made(item) for item in inputs], "usage": usage})

    return answer


def ranks(scores: list[float]) -> Answer:
    """The likeliest first, as Oracle answers."""
    order = sorted(enumerate(scores), key=lambda pair: -pair[1])
    return Wire().json({"id": "1", "documentRanks": [{"index": i, "relevanceScore": s} for i, s in order]})


def _check_embed(body: Any) -> None:
    check_serving(body)
    allowed = {"inputType", "truncate", "isEcho", "outputDimensions", "embeddingTypes"}
    members(body, "the body", {"compartmentId", "servingMode", "inputs"}, allowed)


def _check_rerank(body: Any) -> None:
    check_serving(body)
    # `truncate` is the shared suite's own, which asks that a client's further members are passed on.
    allowed = {"topN", "isEcho", "maxChunksPerDocument", "maxTokensPerDocument", "truncate"}
    members(body, "the body", {"compartmentId", "servingMode", "input", "documents"}, allowed)


_CHECKS: Mapping[str, Callable[[Any], None]] = {
    CHAT_PATH: check_chat,
    EMBED_PATH: _check_embed,
    RERANK_PATH: _check_rerank,
}
