"""The run configs of the packaged distributions, each rendered from its recipe, and a page for each: `make docs`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from docs.generate import anchor, heading, table

from llama_stack.cli.recipes.recipe import Recipe, Storage, load_recipe, packaged_recipes
from llama_stack.cli.recipes.render import render
from llama_stack.cli.recipes.variables import Variable, variables_of
from llama_stack.config.env import REFERENCE, if_set, turned_on_by
from llama_stack.routing.catalog import Catalog
from llama_stack_api.api import Api
from llama_stack_api.provider import Descriptor

HEADER = "# Written by `make docs` from recipes/{name}.yaml and the descriptors of providers: edit those, not this.\n"
PAGE_HEADER = "<!-- Written by `make docs` from distributions/recipes/{file}: edit those, not this. -->\n\n"
ROOT = Path(__file__).parents[1]
PAGES = Path(__file__).parent / "distributions"
SOURCES = "packages/llama-stack/src/llama_stack/distributions"
IN_KUBERNETES = "postgres"
"""The distribution that deploy/kubernetes runs."""
MEANINGS: Mapping[str, str] = {
    "server.host": "the address to listen on",
    "server.port": "the port",
    "server.workers": "processes that serve requests",
    "server.auth.provider_config.type": "",
    "server.auth.provider_config.file": "a file of API keys; with it every request needs one",
    "server.secrets.key": "seals what is stored and must be read again; the same on every machine",
    "server.runs.execute": "whether servers execute queued runs themselves",
    "storage.backends.kv_redis.type": "",
    "storage.backends.kv_redis.url": "what processes share is kept in this Redis",
    "storage.stores.shared.backend": "",
}
"""Of settings outside of providers; an empty one goes without saying."""
INTRODUCTION = """\
# Distributions

A distribution is a run config that comes with the server: `llama stack run NAME`. Each turns on providers for one place
to run models, or for all of them, and serves the same APIs: chat, completions, embeddings and rerank, responses,
conversations, messages, files, vector stores, batches, moderations and tools. What a variable below names is turned on
by setting it; nothing has to be edited. For one of your own copy a config and run the copy, or let
[`llama stack build`](../build.md) make one with exactly the packages that it needs.

"""


def generated_files() -> Iterator[tuple[Path, str]]:
    """Every file that is derived from recipes, with its text."""
    catalog = Catalog(entry_points=tuple)
    recipes = [load_recipe(path) for path in packaged_recipes().values()]
    sizes = json.loads((PAGES / "sizes.json").read_text(encoding="utf-8"))
    for recipe in recipes:
        text = HEADER.format(name=recipe.name) + render(recipe, catalog)
        yield ROOT / SOURCES / f"{recipe.name}.yaml", text
        if recipe.name == IN_KUBERNETES:
            yield ROOT / "deploy" / "kubernetes" / "base" / "run.yaml", text
        yield PAGES / f"{recipe.name}.md", page(recipe, text, catalog, sizes)
    yield PAGES / "index.md", index(recipes)


def index(recipes: list[Recipe]) -> str:
    rows = [
        (f"[`{recipe.name}`]({recipe.name}.md)", " ".join(recipe.description.split()), state(recipe))
        for recipe in sorted(recipes, key=lambda recipe: (recipe.name != "starter", recipe.name))
    ]
    return PAGE_HEADER.format(file="*.yaml") + INTRODUCTION + table(("name", "", "state is kept in"), rows)


def state(recipe: Recipe) -> str:
    return {Storage.SQLITE: "SQLite", Storage.POSTGRES: "PostgreSQL"}.get(recipe.storage, "PostgreSQL and Redis")


def page(recipe: Recipe, text: str, catalog: Catalog, sizes: Mapping[str, Any]) -> str:
    config = yaml.safe_load(text)
    variables = variables_of(text)
    parts = [
        PAGE_HEADER.format(file=f"{recipe.name}.yaml"),
        f"# {recipe.name}\n\n{' '.join(recipe.description.split())}\n\n{recipe.about.strip()}\n",
        _running(recipe, variables),
        "\n## Providers\n\n",
        table(("API", "id", "type", "on"), _providers(config, catalog)),
        *_registered(config),
        "\n## Variables\n\nA default is what holds without the variable.",
        _required(variables),
        table(("variable", "default", "for"), (_row(variable) for variable in variables)),
        _packages(recipe.name, config, catalog, sizes),
    ]
    return "".join(parts)


def _running(recipe: Recipe, variables: list[Variable]) -> str:
    flags = "".join(f" \\\n    -e {variable.name}=…" for variable in variables if variable.required)
    return f"""
## Running it

```sh
llama stack run {recipe.name}
```

In the [image](../deployment.md), on this machine alone and without keys:

```sh
podman run --rm -p 127.0.0.1:8321:8321 -v llama-stack:/var/lib/llama-stack{flags} \\
    llama-stack:1.0.0 run {recipe.name} --allow-unauthenticated
```

The config is [`{recipe.name}.yaml`](../../{SOURCES}/{recipe.name}.yaml):
copy it to change what no variable does, and run the copy. State is kept in {state(recipe)}.
"""


def _providers(config: Mapping[str, Any], catalog: Catalog) -> Iterator[tuple[str, ...]]:
    for api, entries in config["providers"].items():
        for entry in entries:
            found = catalog.find(Api(api), entry["provider_type"])
            provider_id, switch = _switched(entry["provider_id"])
            link = f"[`{found.type}`](../providers.md#{anchor(heading(found))})"
            yield api, f"`{provider_id}`", link, f"with `{switch}`" if switch else "always"


def _switched(written: str) -> tuple[str, str | None]:
    """A provider's id, and the variable that turns it on."""
    return if_set(written), next(iter(turned_on_by(written)), None)


def _registered(config: Mapping[str, Any]) -> Iterator[str]:
    registered = config.get("registered_resources", {})
    default = config.get("vector_stores", {})
    rows = [
        *(("model", _code(each["model_id"]), _served_by(each)) for each in registered.get("models", ())),
        *(("shield", _code(each["shield_id"]), _served_by(each)) for each in registered.get("shields", ())),
    ]
    yield "\n## What it registers\n\nBesides the models that providers list themselves:\n\n"
    yield table(("", "id", "served by"), rows)
    for what, key in (("embeds", "default_embedding_model"), ("ranks again", "default_reranker_model")):
        model = _code(f"{default[key]['provider_id']}/{default[key]['model_id']}")
        yield f"\nA vector store that names no other {what} with {model}."
    yield "\n"


def _served_by(entry: Mapping[str, Any]) -> str:
    places = [target["provider_id"] for target in entry.get("targets", ())] or [entry["provider_id"]]
    theirs = entry.get("provider_shield_id") or entry.get("provider_model_id")
    names = ", ".join(_code(place) for place in places)
    return f"{names} as {_code(theirs)}" if theirs else names


def _code(written: str) -> str:
    """A value as it is shown: a variable by its name and default, one that only turns on by what it turns on."""
    match = REFERENCE.fullmatch(written)
    if match is None or match[2] == "":
        return f"`{REFERENCE.sub(lambda found: '$' + found[1], written)}`"
    if match[2] == "+":
        return f"`{match[3]}` (with `{match[1]}`)"
    return f"`${match[1]}`" + (f" (`{match[3]}`)" if match[3] else "")


def _required(variables: list[Variable]) -> str:
    names = [f"`{variable.name}`" for variable in variables if variable.required]
    return f" Required: {', '.join(names)}.\n\n" if names else " None is required.\n\n"


def _row(variable: Variable) -> tuple[str, ...]:
    on = [f"turns on {_and(variable.turns_on)}"] if variable.turns_on else []
    others = [each for each in variable.provider_ids if each not in variable.turns_on]
    said = [text for path in variable.settings if (text := MEANINGS.get(path, f"`{path}`"))]
    purposes = [*on, *([_and(others)] if others else []), *said]
    # The default of an address that turns its provider on is never seen.
    default = variable.default if others or said or not on else None
    return f"`{variable.name}`", f"`{default}`" if default else "", "; ".join(purposes)


def _and(ids: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{each}`" for each in ids)


def _packages(name: str, config: Mapping[str, Any], catalog: Catalog, sizes: Mapping[str, Any]) -> str:
    rows = [
        (f"`{provider_id}`", f"with `{switch}`" if switch else "always", _and(needed))
        for api, entries in config["providers"].items()
        for entry in entries
        for provider_id, switch in [_switched(entry["provider_id"])]
        if (needed := _needed(catalog.find(Api(api), entry["provider_type"])))
    ]
    backends = {backend["type"] for backend in config.get("storage", {}).get("backends", {}).values()}
    if any("postgres" in backend for backend in backends):
        rows.append(("`storage`", "always", "`asyncpg`"))
    if any("redis" in backend for backend in backends):
        rows.append(("`storage`", "with `REDIS_URL`", "`redis`"))
    size = sizes["distributions"][name]
    server = f"the server takes {size['server_mb']} MB ({size['server_packages']} packages)"
    added = f"what is always on {size['added_mb']} MB more ({size['added_packages']} packages, models included)"
    return (
        f"\n## Packages\n\nBeyond the server itself; `llama stack list-deps {name}` prints those of the providers that "
        "the environment turns on.\n\n"
        + table(("for", "", "packages"), sorted(set(rows)))
        + f"\nInstalled, {server} and {added}. Measured by `{sizes['how'].replace(',', '`,', 1)}.\n"
    )


def _needed(descriptor: Descriptor) -> list[str]:
    return [*descriptor.pip_packages, *descriptor.pip_weights]
