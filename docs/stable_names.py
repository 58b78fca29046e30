"""Writes docs/stable-names.md from the package itself: `make docs`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import llama_stack_api

PAGE = Path(__file__).with_name("stable-names.md")
PURPOSE = {
    "api": "The names of APIs; `Api.add` makes an external one known.",
    "provider": "Describing a provider, and what it is handed. For new providers.",
    "principal": "Who asks, and what goes with a request. For new providers.",
    "specs": "A provider's specification, as `get_provider_spec()` returns it.",
    "datatypes": "How the server tells a provider of its models, shields, stores and tool groups.",
    "resource": "What registered resources have in common.",
    "schema_utils": "Decorators that annotate.",
    "validators": "Checks of requests.",
    "version": "Prefixes of paths.",
    "errors": "The base of all errors; the rest of the tree is in `llama_stack_api.errors`.",
    "common.errors": "Errors under their former names; each is one of the tree.",
    "inference": "Requests, replies and protocols of inference.",
    "models": "Models as resources.",
    "safety": "Shields run, and moderations. Also in `llama_stack_api.safety.models`.",
    "shields": "Shields as resources.",
    "files": "Files.",
    "file_processors": "Files to chunks.",
    "vector_io": "Chunks, and stores of them.",
    "vector_stores": "Vector stores as resources.",
    "filters": "Filters over attributes.",
    "rag_tool": "Retrieval, as tools of former versions set it.",
    "openai_responses": "Items, events and tools of responses.",
    "conversations": "Conversations.",
    "prompts": "Prompts.",
    "messages": "Anthropic's Messages.",
    "batches": "Batches.",
    "tools": "Tools and their groups.",
    "connectors": "Connectors.",
    "admin": "What the server says of itself.",
    "inspect_api": "The protocol of routes and health.",
    "providers": "The protocol of the providers' list.",
    "common.content_types": "Text and images in native APIs.",
    "common.job_types": "Jobs.",
    "common.responses": "Pages of results.",
    "common.training_types": "Checkpoints.",
}
HEAD = """# Names that packages can rely on

Every name below can be imported from `llama_stack_api` itself and from the module that it stands under. They stay, with
their fields, for as long as the package's major version does; what else is in a module may change. Names that only new
code needs (ports, wire types) are said where they are told of, in [external-providers.md](external-providers.md).

This page is written by `make docs` from `llama_stack_api.NAMES`, and a test holds it to that; another
imports all of them, and whatever these packages import of `llama_stack_api`:

- `llama-stack-provider-trustyai-fms` 0.4.0 (safety): its wheel works as it is on PyPI, and runs in the tests.
- `lightspeed-providers` (safety): what it imports of `llama_stack_api` is there. Parts of it import the inside of the
  server of that time (`llama_stack.core`, `llama_stack.providers`) or `llama_stack_api.agents` of 0.6; these do not
  load, and the error says so.
- `llama-stack-provider-lmeval`, `-ragas`, `-trustyai-garak` (evaluation): out of scope. `eval`, `scoring`, `datasetio`,
  `benchmarks` and `post_training` are not part of this server, so `Benchmark`, `BenchmarkConfig`, `Eval`,
  `EvaluateResponse`, `RunEvalRequest`, `DatasetIO`, `ScoringResult` and their kin are not there.

Of version 0.7.3's names, those of evaluation, datasets, quantisation and schema registries are left out on purpose; so
is whatever began with an underscore. A package that imports one of them is refused with its name.
"""


def page() -> str:
    parts = [HEAD]
    for module, names in llama_stack_api.NAMES.items():
        listed = sorted(names.split())
        parts.append(f"\n## `llama_stack_api.{module}`\n\n{PURPOSE[module]}\n\n" + _wrapped(listed) + "\n")
    return "".join(parts)


def _wrapped(names: list[str]) -> str:
    lines = [""]
    for name in names:
        word = f"`{name}`"
        if len(lines[-1]) + len(word) > 116:
            lines.append("")
        lines[-1] += f"{word}, " if name != names[-1] else word
    return "\n".join(line.rstrip() for line in lines)


def check() -> None:
    for module, names in llama_stack_api.NAMES.items():
        loaded = import_module(f"llama_stack_api.{module}")
        for name in names.split():
            assert getattr(llama_stack_api, name) is getattr(loaded, name), name


if __name__ == "__main__":
    check()
    PAGE.write_text(page(), encoding="utf-8")
