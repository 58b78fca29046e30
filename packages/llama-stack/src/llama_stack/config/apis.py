"""Which APIs a run config may name, and what that means here."""

from __future__ import annotations

PROVIDER_APIS = ("inference", "safety", "vector_io", "tool_runtime", "files", "file_processors")
"""APIs that providers implement: each entry is opened."""

SERVICE_APIS = ("responses", "messages", "batches", "interactions")
"""APIs that the server implements itself: entries are accepted and their settings read, nothing is opened."""

API_ALIASES = {"agents": "responses"}
"""Former names."""

RESOURCE_APIS = {
    "models": "inference",
    "shields": "safety",
    "vector_stores": "vector_io",
    "tool_groups": "tool_runtime",
}
"""APIs over what providers offer, served together with the API that uses it."""

NEEDED_APIS = {
    "responses": ("inference", "tool_runtime", "vector_io", "files", "safety"),
    "messages": ("inference", "tool_runtime", "files", "file_processors", "safety"),
    "batches": ("inference", "files", "tool_runtime", "vector_io", "safety"),
    "safety": ("inference",),
    "vector_io": ("inference", "files", "file_processors"),
}
"""What an API works with: those providers are opened for it, also where their own routes are not offered."""

INTERNAL_APIS = ("inspect", "providers", "admin", "conversations", "prompts", "connectors")
"""Always served; `apis` may name them."""

ABSENT_APIS = (
    "eval",
    "scoring",
    "datasetio",
    "post_training",
    "telemetry",
    "benchmarks",
    "datasets",
    "scoring_functions",
)
"""APIs of the reference implementation that are not part of this server: accepted with a warning, without effect."""


def known_apis() -> tuple[str, ...]:
    return (*PROVIDER_APIS, *SERVICE_APIS, *API_ALIASES, *RESOURCE_APIS, *INTERNAL_APIS, *ABSENT_APIS)
