"""The access log: one line per request. Collected as tuples and formatted in batches, since it is on every hot path."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from llama_stack.telemetry.writer import LogWriter

FLUSH_EVERY_S = 0.25
ENTRIES_MAX = 2_000
PATH_CHARS_MAX = 512

_Entry: TypeAlias = tuple[float, bytes, str, str, int, float, str, str | None]

_encode = msgspec.json.Encoder().encode


class AccessLog:
    """Used from one event loop. `close` writes what is still held."""

    def __init__(self, writer: LogWriter, *, as_json: bool) -> None:
        self._writer = writer
        self._format = _json_line if as_json else _text_line
        self._entries: list[_Entry] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(
        self,
        request_id: bytes,
        method: str,
        path: str,
        status: int,
        duration_s: float,
        principal: str,
        code: str | None,
    ) -> None:
        self._entries.append((time.time(), request_id, method, path, status, duration_s, principal, code))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_EVERY_S, self.flush)
        elif len(self._entries) >= ENTRIES_MAX:
            self.flush()

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._entries:
            entries, self._entries = self._entries, []
            self._writer.write("\n".join([self._format(entry) for entry in entries]))

    def close(self) -> None:
        self.flush()


def _json_line(entry: _Entry) -> str:
    at, request_id, method, path, status, duration_s, principal, code = entry
    line = {
        "timestamp": _timestamp(at),
        "level": "info",
        "logger": "llama_stack.access",
        "event": "request",
        "method": method,
        "path": path[:PATH_CHARS_MAX],
        "status": status,
        "duration_ms": round(duration_s * 1000, 2),
        "request_id": request_id.decode(),
        "principal": principal,
    }
    if code is not None:
        line["code"] = code
    return _encode(line).decode()


def _text_line(entry: _Entry) -> str:
    at, request_id, method, path, status, duration_s, principal, code = entry
    # ascii() so that no path can put control characters on somebody's terminal.
    what = f"{method} {ascii(path[:PATH_CHARS_MAX])[1:-1]} {status} {duration_s * 1000:.1f}ms"
    note = f" {code}" if code is not None else ""
    return f"{_timestamp(at)} info     {what}{note} {request_id.decode()} {principal}"


def _timestamp(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
