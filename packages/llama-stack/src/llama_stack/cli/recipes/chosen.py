"""The run config of chosen providers: every one always on, with its descriptor's sample as settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_stack.cli.failure import USAGE, Failure
from llama_stack.cli.recipes.recipe import Recipe, Storage
from llama_stack.cli.recipes.render import render
from llama_stack.routing.catalog import Catalog
from llama_stack_api.api import Api
from llama_stack_api.provider import Descriptor

_EMBEDDED_MODELS = {
    "inline::onnx-embeddings": {
        "default_embedding_model": "all-minilm-l6-v2",
        "default_reranker_model": "all-minilm-l6-v2-reranker",
    }
}
"""What the embedder that is inside the server calls its models: vector stores need a default."""


def chosen_config(name: str, descriptors: Sequence[Descriptor], storage: Storage, catalog: Catalog) -> str:
    """As text. `Failure` where two providers of one API would have the same id."""
    recipe = Recipe.model_validate(
        {
            "name": name,
            "description": f"Built from {spec_of(descriptors)}.",
            "storage": storage,
            "providers": _by_api(descriptors),
            "config": _defaults(descriptors),
        }
    )
    try:
        return render(recipe, catalog)
    except ValueError as error:
        raise Failure(str(error), "Choose one of them, and add the other to config.yaml", exit_code=USAGE) from None


def spec_of(descriptors: Sequence[Descriptor]) -> str:
    """As one writes it behind `--providers`."""
    return " ".join(f"{api}={','.join(types)}" for api, types in _by_api(descriptors).items())


def _by_api(descriptors: Sequence[Descriptor]) -> dict[Api, list[str]]:
    by_api: dict[Api, list[str]] = {}
    for descriptor in descriptors:
        by_api.setdefault(descriptor.api, []).append(descriptor.type)
    return by_api


def _defaults(descriptors: Sequence[Descriptor]) -> dict[str, Any]:
    """Vector stores take the first engine and, where it is chosen, the embedder inside the server."""
    engines = [descriptor.name for descriptor in descriptors if descriptor.api == Api.vector_io]
    if not engines:
        return {}
    stores: dict[str, Any] = {"default_provider_id": engines[0]}
    for descriptor in descriptors:
        for setting, model in _EMBEDDED_MODELS.get(descriptor.type, {}).items():
            stores.setdefault(setting, {"provider_id": descriptor.name, "model_id": model})
    return {"vector_stores": stores}
