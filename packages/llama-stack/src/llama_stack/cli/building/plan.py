"""What is to be built: a run config and what it needs, from a template or from chosen providers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llama_stack.cli.building.needs import Needs, needs_of
from llama_stack.cli.building.run_configs import WrittenConfig, read_written, written
from llama_stack.cli.failure import USAGE, Failure
from llama_stack.cli.recipes.recipe import Recipe, Storage, load_recipe, packaged_recipes
from llama_stack.cli.recipes.render import render
from llama_stack.config.locate import packaged_distributions
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


@dataclass(frozen=True, slots=True)
class Plan:
    """`made_from` is told to people; `warnings` are provider types that nobody here has."""

    name: str
    config: WrittenConfig
    needs: Needs
    made_from: str
    warnings: tuple[str, ...] = ()


def from_template(name: str, reference: str, environ: Mapping[str, str], catalog: Catalog) -> Plan:
    """A packaged distribution, one of the user's, or a run config file, under another name."""
    template = read_written(reference, environ)
    text = template.named(name)
    if template.path == packaged_distributions().get(reference) and reference in packaged_recipes():
        text = render(load_recipe(packaged_recipes()[reference]).model_copy(update={"name": name}), catalog)
    config = written(template.path, text)
    descriptors, missing = config.descriptors(catalog)
    return Plan(name, config, needs_of(descriptors, config.backend_types()), f"template {reference}", tuple(missing))


def from_providers(name: str, descriptors: Sequence[Descriptor], storage: Storage, catalog: Catalog) -> Plan:
    """Every chosen provider, always on, with its descriptor's sample as settings."""
    if not descriptors:
        raise Failure("a distribution needs a provider", "Write for example --providers inference=ollama", exit_code=2)
    by_api: dict[Api, list[str]] = {}
    for descriptor in descriptors:
        by_api.setdefault(descriptor.api, []).append(descriptor.type)
    spec = " ".join(f"{api}={','.join(types)}" for api, types in by_api.items())
    recipe = Recipe.model_validate(
        {
            "name": name,
            "description": f"Built from {spec}.",
            "storage": storage,
            "providers": by_api,
            "config": _defaults(descriptors),
        }
    )
    try:
        text = render(recipe, catalog)
    except ValueError as error:
        raise Failure(str(error), "Choose one of them, and add the other to config.yaml", exit_code=USAGE) from None
    config = written(Path(f"{name}/config.yaml"), text)
    return Plan(name, config, needs_of(descriptors, config.backend_types()), f"providers {spec}")


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
