"""What runs on this machine already: an Ollama or a vLLM that answers turns its provider of the starter on.

Only loopback is asked, for a third of a second, and only where the environment does not say where the server is.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from llama_stack.cli.asking import Address, NoAnswer, ask

TIMEOUT_S = 0.3


@dataclass(frozen=True, slots=True)
class Probe:
    """`path` is asked at the address; if `recognises` its JSON, `variable` becomes the server's `/v1` URL."""

    name: str
    variable: str
    host: str
    port: int
    path: str
    recognises: Callable[[dict[str, Any]], bool]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/v1"


def _is_ollama(reply: dict[str, Any]) -> bool:
    return isinstance(reply.get("version"), str)


def _is_vllm(reply: dict[str, Any]) -> bool:
    models = reply.get("data")
    return isinstance(models, list) and any(isinstance(m, dict) and m.get("owned_by") == "vllm" for m in models)


OLLAMA = Probe("Ollama", "OLLAMA_URL", "localhost", 11434, "/api/version", _is_ollama)
VLLM = Probe("vLLM", "VLLM_URL", "localhost", 8000, "/v1/models", _is_vllm)
PROBES = (OLLAMA, VLLM)


def detect(environ: Mapping[str, str], probes: Sequence[Probe] = PROBES, timeout_s: float = TIMEOUT_S) -> list[Probe]:
    """Those of `probes` that answer as they should and that `environ` does not set already."""
    wanted = [probe for probe in probes if probe.variable not in environ]
    if not wanted:
        return []
    with ThreadPoolExecutor(len(wanted)) as pool:
        answers = list(pool.map(lambda probe: _answers(probe, timeout_s), wanted))
    return [probe for probe, answered in zip(wanted, answers, strict=True) if answered]


def _answers(probe: Probe, timeout_s: float) -> bool:
    try:
        answer = ask(Address(probe.host, probe.port), probe.path, timeout_s=timeout_s)
    except NoAnswer:
        return False
    return answer.status == http.client.OK and probe.recognises(answer.body)
