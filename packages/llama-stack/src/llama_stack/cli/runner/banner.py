"""What a person sees when the server is up, and the one line that a log gets instead."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CONDITIONAL = re.compile(r"provider_id:\s*['\"]?\$\{env\.([A-Z0-9_]+):\+([^}]+)\}")
_OFF_SHOWN_MAX = 4


@dataclass(frozen=True, slots=True)
class Started:
    """A running server, told: `on` are provider ids with their types, `off` ids with the variable that is not set,
    `refused` what did not open and why, `model` one that a first request can name, `inference` whether that is served.
    """

    version: str
    distro_name: str
    url: str
    workers: int
    authenticated: bool
    on: Sequence[tuple[str, str]]
    off: Sequence[tuple[str, str]]
    refused: Sequence[str]
    warnings: Sequence[str]
    inference: bool
    model: str | None
    seconds: float


def turned_off(path: Path, on: Sequence[str]) -> list[tuple[str, str]]:
    """Provider ids of a config file that its environment leaves out, each with the variable that turns it on."""
    found = _CONDITIONAL.findall(path.read_text(encoding="utf-8"))
    return [(provider_id, variable) for variable, provider_id in found if provider_id not in on]


def banner(started: Started) -> str:
    lines = [f"Llama Stack {started.version} · {started.distro_name} · ready in {started.seconds:.1f} s", ""]
    workers = f" · {started.workers} workers" if started.workers > 1 else ""
    # A browser cannot send a key.
    docs = "" if started.authenticated else f" · {started.url}/docs"
    lines += [f"  {started.url}{workers}{docs}", ""]
    width = max((len(provider_id) for provider_id, _ in started.on), default=0)
    lines += [f"  on   {provider_id.ljust(width)}  {type_}" for provider_id, type_ in started.on]
    lines += [f"  off  {_off(started.off)}"] if started.off else []
    lines += [f"  !    {message}" for message in (*started.refused, *started.warnings)]
    return "\n".join([*lines, "", *_try_it(started), "", "Ctrl-C stops the server."])


def log_fields(started: Started) -> dict[str, Any]:
    return {
        "url": started.url,
        "distribution": started.distro_name,
        "version": started.version,
        "workers": started.workers,
        "providers": [provider_id for provider_id, _ in started.on],
        "refused": list(started.refused),
        "start_s": round(started.seconds, 3),
    }


def _off(off: Sequence[tuple[str, str]]) -> str:
    shown = ", ".join(f"{provider_id} ({variable})" for provider_id, variable in off[:_OFF_SHOWN_MAX])
    more = len(off) - _OFF_SHOWN_MAX
    return f"{shown}{f' and {more} more' if more > 0 else ''}: set the variable to turn one on"


def _try_it(started: Started) -> list[str]:
    key = ' -H "Authorization: Bearer $LLAMA_STACK_API_KEY"' if started.authenticated else ""
    if started.model is None:
        return [f"  curl {started.url}/v1/{'models' if started.inference else 'inspect/routes'}{key}"]
    body = json.dumps({"model": started.model, "messages": [{"role": "user", "content": "Say hello."}]})
    return [
        f"  curl {started.url}/v1/chat/completions{key} -H 'Content-Type: application/json' \\",
        f"    -d '{body}'",
    ]
