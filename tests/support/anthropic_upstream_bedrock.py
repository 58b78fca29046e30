"""Amazon Bedrock on loopback: Claude by InvokeModel, other models by Converse, embeddings and rerank, under AWS's
addresses, signatures and binary event streams.

    with BedrockUpstream(bearer="key") as up:                           # or secrets={"AKID": "secret"}: signatures
        up.always(on_bedrock(says("Hello")))
        ...                                                             # base_url: up.url

A signature is checked as AWS documents it, from the bytes that arrived, without botocore; a body must be what the
Messages API takes, less `model` and `stream`, and with Bedrock's version; or what Converse takes (`converse_contract`),
or the family of an embedding model (`bedrock_invoked`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote

from tests.support.anthropic_upstream import MessagesWire, Says, says
from tests.support.anthropic_upstream_contract import Violation, check_message
from tests.support.bedrock_invoked import invoked
from tests.support.converse_contract import check_converse, check_counted
from tests.support.converse_upstream import CONVERSE, CONVERSE_STREAM, conversed
from tests.support.upstream import Recorded, Upstream
from tests.support.upstream_wire import Answer, Wire, dumps

_CREDENTIAL = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"SignedHeaders=(?P<names>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)
INVOKE, STREAM = "/invoke", "/invoke-with-response-stream"
_AWS = ("/model/", "/foundation-models", "/inference-profiles")
"""What Bedrock answers; all else is somebody else's, such as a picture that lies there."""
EVENT_STREAM = "application/vnd.amazon.eventstream"


@dataclass(frozen=True, slots=True)
class BedrockWire(MessagesWire):
    """Each event in a message of AWS's; an event with a member `exception` is one."""

    def _event(self, number: int, event: Any) -> bytes:
        if isinstance(event, Mapping) and "exception" in event:
            headers = {":message-type": "exception", ":exception-type": event["exception"]}
            return aws_message(headers, dumps({"message": event["message"]}))
        data = event.encode() if isinstance(event, str) else dumps(event)
        headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
        return aws_message(headers, dumps({"bytes": base64.b64encode(data).decode(), "p": "abcd"}))


def aws_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    written = b"".join(
        _sized("!B", name.encode()) + b"\x07" + _sized("!H", value.encode()) for name, value in headers.items()
    )
    lengths = struct.pack("!II", 16 + len(written) + len(payload), len(written))
    message = lengths + struct.pack("!I", zlib.crc32(lengths)) + written + payload
    return message + struct.pack("!I", zlib.crc32(message))


def _sized(length: str, value: bytes) -> bytes:
    return struct.pack(length, len(value)) + value


def on_bedrock(message: Says) -> Callable[[Recorded], Answer]:
    """A message as Bedrock sends it; its wire may be any."""
    shared = {name: getattr(message.wire, name) for name in Wire.__dataclass_fields__ if name != "done"}
    message = replace(message, wire=BedrockWire(**shared), headers={})

    def answer(request: Recorded) -> Answer:
        model = request.path.split("/")[2]
        if request.path.endswith(STREAM):
            return message.wire.events(list(message.events(model)), {"content-type": EVENT_STREAM})
        return message.wire.json(message.message(model))

    return answer


def refusal(status: int, message: str, kind: str) -> Answer:
    return Wire().json({"message": message}, status, {"x-amzn-errortype": kind})


@dataclass(frozen=True, slots=True)
class Listed:
    """The models and inference profiles of an account; the profiles in pages of one."""

    models: Sequence[Mapping[str, Any]]
    profiles: Sequence[str] = ()

    def __call__(self, request: Recorded) -> Answer:
        if request.path == "/foundation-models":
            return Wire().json({"modelSummaries": list(self.models)})
        at = int(request.query.get("nextToken", "0"))
        page = [{"inferenceProfileId": name, "status": "ACTIVE"} for name in self.profiles[at : at + 1]]
        more = {"nextToken": str(at + 1)} if at + 1 < len(self.profiles) else {}
        return Wire().json({"inferenceProfileSummaries": page, **more})


class BedrockUpstream(Upstream):
    """`bearer`: the API key that is accepted, None: any; `secrets`: access keys and their secrets, whose signatures
    are."""

    def __init__(self, *, bearer: str | None = None, secrets: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._bearer = bearer
        self._secrets = {} if secrets is None else secrets
        self.violations: list[str] = []
        self.defaults = {
            INVOKE: on_bedrock(says("Hello from Bedrock.")),
            STREAM: on_bedrock(says("Hello from Bedrock.")),
            CONVERSE: conversed("Hello from Bedrock."),
            CONVERSE_STREAM: conversed("Hello from Bedrock."),
            "/count-tokens": Wire().json({"inputTokens": 17}),
            "/foundation-models": Listed([{"modelId": "anthropic.claude-1", "inferenceTypesSupported": ["ON_DEMAND"]}]),
            "/inference-profiles": Listed([]),
        }

    async def _record(self, scope: Mapping[str, Any], receive: Any) -> Recorded:
        request = await super()._record(scope, receive)
        # As it came over the wire, which is what was signed.
        request.headers[":path"] = scope["raw_path"].decode()
        request.headers[":query"] = scope["query_string"].decode()
        return request

    def _answer_to(self, request: Recorded) -> Answer:
        if request.path.startswith(_AWS) and not self._is_authorized(request):
            return refusal(403, "The request signature does not match.", "InvalidSignatureException")
        try:
            answer = self._checked(request)
        except Violation as wrong:
            self.violations.append(str(wrong))
            return refusal(400, str(wrong), "ValidationException")
        return super()._answer_to(request) if answer is None else answer

    def _checked(self, request: Recorded) -> Answer | None:
        """An answer to what no script answers; `Violation` for what Bedrock would refuse."""
        model = unquote(request.headers[":path"].split("/")[2]) if request.path.startswith("/model/") else ""
        if request.path.endswith((CONVERSE, CONVERSE_STREAM)):
            check_converse(model, request.body, stream=request.path.endswith(CONVERSE_STREAM))
        elif request.path.endswith("/count-tokens"):
            check_counting(model, request)
        elif request.path.endswith(INVOKE) and (".embed" in model or "-embed" in model or ".rerank" in model):
            return invoked(model, request) if self._unscripted(request) else None
        elif request.path.endswith((INVOKE, STREAM)):
            check_invocation(request.body)
        return None

    def _unscripted(self, request: Recorded) -> bool:
        scripted = [on for on, _ in self._script] + list(self._standing)
        return not any(request.path.endswith(on) for on in scripted)

    def _is_authorized(self, request: Recorded) -> bool:
        given = request.headers.get("authorization", "")
        if given.startswith("Bearer "):
            return self._bearer is None or given == f"Bearer {self._bearer}"
        return is_signed(request, self._secrets, service="bedrock")


def check_invocation(body: Any) -> None:
    version = body.get("anthropic_version") if isinstance(body, dict) else None
    if version != "bedrock-2023-05-31":
        raise Violation("anthropic_version: Field required")
    for member in ("model", "stream"):
        if member in body:
            raise Violation(f"{member}: Extra inputs are not permitted")
    betas = body.get("anthropic_beta", [])
    if not isinstance(betas, list) or not all(isinstance(beta, str) for beta in betas):
        raise Violation("anthropic_beta: Input should be a valid list")
    kept = {name: value for name, value in body.items() if not name.startswith("anthropic_")}
    check_message({"model": "m", **kept}, beta=bool(betas))


def check_counting(model: str, request: Recorded) -> None:
    """The body is a request in base64, or one of Converse."""
    check_counted(model, request.body)
    if "converse" in request.body["input"]:
        check_converse(model, request.body["input"]["converse"], stream=False)
        if not model.startswith("anthropic."):
            raise Violation("The provided model doesn't support counting tokens.")
        return
    body = base64.b64decode(request.body["input"]["invokeModel"]["body"])
    check_invocation(json.loads(body))


def is_signed(request: Recorded, secrets: Mapping[str, str], *, service: str, region: str = "us-east-1") -> bool:
    """Whether the request bears AWS's signature of the holder of one of the secrets.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    found = _CREDENTIAL.fullmatch(request.headers.get("authorization", ""))
    if found is None or found["key"] not in secrets or (found["service"], found["region"]) != (service, region):
        return False
    names = found["names"].split(";")
    if not {"host", "x-amz-date"} <= set(names):
        return False
    canonical = [
        request.method,
        quote(request.headers[":path"], safe="/-_.~"),
        "&".join(sorted(filter(None, request.headers[":query"].split("&")))),
        *(f"{name}:{' '.join(request.headers[name].split())}" for name in names),
        "",
        found["names"],
        hashlib.sha256(request.raw).hexdigest(),
    ]
    scope = f"{found['date']}/{region}/{service}/aws4_request"
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{request.headers['x-amz-date']}\n{scope}\n{digest}"
    key = f"AWS4{secrets[found['key']]}".encode()
    for part in scope.split("/"):
        key = _mac(key, part)
    return hmac.compare_digest(_mac(key, text).hex(), found["signature"])


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
