"""What is to be built: a run config and what it needs, from a template or from chosen providers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llama_stack.cli.building.needs import Needs, needs_of
from llama_stack.cli.building.run_configs import WrittenConfig, read_written, written
from llama_stack.cli.failure import USAGE, Failure
from llama_stack.cli.recipes.chosen import chosen_config, spec_of
from llama_stack.cli.recipes.recipe import Storage, load_recipe, packaged_recipes
from llama_stack.cli.recipes.render import render
from llama_stack.config.locate import packaged_distributions
from llama_stack.routing.catalog import Catalog
from llama_stack_api.provider import Descriptor


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
        raise Failure(
            "a distribution needs a provider", "Write for example --providers inference=ollama", exit_code=USAGE
        )
    config = written(Path(f"{name}/config.yaml"), chosen_config(name, descriptors, storage, catalog))
    made_from = f"providers {spec_of(descriptors)}"
    return Plan(name, config, needs_of(descriptors, config.backend_types()), made_from)
