"""Keys of the reference implementation that have no effect here, and restrict nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llama_stack.config.problem import ConfigPath, Problem, Severity

_NO_API = "belongs to an API that this server does not have; it is ignored"

RETIRED: dict[ConfigPath, str] = {
    ("image_name",): "is the former name of distro_name",
    ("logging_config",): "is the former name of logging",
    ("telemetry",): "is ignored; telemetry is set up by the OTEL_… environment variables",
    ("registered_resources", "vector_dbs"): "is the former name of vector_stores and is ignored",
    ("registered_resources", "datasets"): _NO_API,
    ("registered_resources", "scoring_fns"): _NO_API,
    ("registered_resources", "benchmarks"): _NO_API,
}


def retired_keys(data: Any) -> Iterator[Problem]:
    """A notice for each retired key that has content."""
    for path, message in RETIRED.items():
        value = data
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value:
            yield Problem(f"the key {path[-1]!r} {message}", path, severity=Severity.NOTICE)
