"""Detectors as FMS Guardrails has them, on loopback: `/api/v1/text/…` of a detector, `/api/v2/text/detection/…` of an
orchestrator over several. Strict: what the real services refuse with 4xx is refused here.

Wire formats: https://foundation-model-stack.github.io/fms-guardrails-orchestrator (detectors 0.0.1, orchestrator 0.1).
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

EMAIL = "example.com"
ABUSE = "idiot"
DETECTORS = {"email": (EMAIL, "pii", "EmailAddress", 1.0), "hap": (ABUSE, "toxicity", "has_HAP", 0.97)}
"""By id: the word that it finds, and what it makes of it."""
ROLES = frozenset({"user", "assistant", "system", "developer", "tool"})


@dataclass(frozen=True, slots=True)
class Asked:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(slots=True)
class Detectors:
    """`failing` is a status with which everything is answered; None: all is well."""

    failing: int | None = None
    asked: list[Asked] = field(default_factory=list)
    _server: ThreadingHTTPServer = field(init=False)

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                status, said = outer.answer(self)
                payload = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> tuple[int, Any]:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append(Asked(request.path, headers, body))
        if self.failing is not None:
            return self.failing, {"code": self.failing, "message": "the detector is ill"}
        if headers.get("content-type") != "application/json":
            return 415, _refusal(415, "Expected request with `Content-Type: application/json`")
        match request.path:
            case "/api/v1/text/contents":
                return _contents(headers, body)
            case "/api/v2/text/detection/content":
                return _orchestrated(body, "content")
            case "/api/v2/text/detection/chat":
                return _orchestrated(body, "messages")
        return 404, _refusal(404, "Not Found")


def _contents(headers: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
    """A detector of its own: a list of detections for each of the contents."""
    detector, contents = headers.get("detector-id"), body.get("contents")
    if detector is None:
        return 422, _refusal(422, "detector-id: field required")
    if not isinstance(contents, list) or not all(isinstance(each, str) for each in contents):
        return 422, _refusal(422, "contents: a list of texts is required")
    if set(body) - {"contents", "detector_params"}:
        return 422, _refusal(422, "unknown fields")
    return 200, [_found(detector, text) for text in contents]


def _orchestrated(body: dict[str, Any], subject: str) -> tuple[int, Any]:
    detectors = body.get("detectors")
    if not isinstance(detectors, dict) or not detectors:
        return 422, _refusal(422, "`detectors` is required")
    if set(body) - {"detectors", subject}:
        return 422, _refusal(422, f"unknown field `{min(set(body) - {'detectors', subject})}`")
    unknown = [each for each in detectors if each not in DETECTORS]
    if unknown:
        return 404, _refusal(404, f"detector `{unknown[0]}` not found")
    said = body.get(subject)
    if subject == "content":
        if not isinstance(said, str) or not said:
            return 422, _refusal(422, "`content` must not be empty")
        texts = [said]
    else:
        if not isinstance(said, list) or any(each.get("role") not in ROLES for each in said):
            return 422, _refusal(422, "`messages` must have roles")
        texts = [each["content"] for each in said]
    found = [{**each, "detector_id": name} for name in detectors for text in texts for each in _found(name, text)]
    return 200, {"detections": found}


def _found(detector: str, text: str) -> list[dict[str, Any]]:
    word, kind, name, score = DETECTORS[detector]
    start = text.find(word)
    if start < 0:
        return []
    place = {"start": start, "end": start + len(word), "text": word}
    return [{**place, "detection": name, "detection_type": kind, "score": score}]


def _refusal(status: int, details: str) -> dict[str, Any]:
    return {"code": status, "details": details}
