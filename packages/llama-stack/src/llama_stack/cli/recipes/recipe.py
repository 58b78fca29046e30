"""A recipe: what a distribution is made of. Its run config is rendered from it and the providers' descriptors.

description: One sentence.
storage: sqlite
providers:
  inference:
  - remote::nvidia                                     # always on, as its descriptor shows it
  - {type: remote::vllm, when: VLLM_URL, config: {max_tokens: 4096}}
  - {rest: remote}                                     # whatever else has a variable that turns it on
config: {…}                                            # the rest of the run config, as it stands
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from llama_stack_api.api import Api


class Storage(StrEnum):
    """Where a distribution keeps its state. With Redis, what workers share is kept there once REDIS_URL names one."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"
    POSTGRES_REDIS = "postgres+redis"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Entry(_Part):
    """One provider."""

    type: str
    id: str | None = None
    """The `provider_id`; without it the name behind `inline::` or `remote::`."""
    config: Mapping[str, Any] = {}
    """Laid over the sample of the provider's descriptor."""
    when: str | None = None
    """The environment variable that turns it on; without it the provider is always on."""
    comment: str | None = None


class Rest(_Part):
    """All other providers of the API, inside the server or remote, that have a variable which turns them on."""

    rest: Literal["inline", "remote"]
    comment: str | None = None


class Recipe(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """The distribution's name: that of the file, unless it says another."""
    description: str
    about: str = ""
    """For its page, in Markdown: whom it serves, and how it is run."""
    storage: Storage = Storage.SQLITE
    providers: Mapping[Api, tuple[Entry | Rest, ...]] = {}
    config: Mapping[str, Any] = {}
    comments: Mapping[str, str] = {}
    """What stands above a part of `config`, by its path with dots: `server.auth`."""

    @field_validator("providers", mode="before")
    @classmethod
    def _bare_types(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {
            api: [{"type": item} if isinstance(item, str) else item for item in items] for api, items in value.items()
        }


def packaged_recipes() -> dict[str, Path]:
    """The recipes of the distributions that come with the server, by name."""
    directory = Path(str(files("llama_stack.distributions"))) / "recipes"
    return {path.stem: path for path in sorted(directory.glob("[!_]*.yaml"))}


def load_recipe(path: Path) -> Recipe:
    """Read a recipe. With `extends: NAME` it is laid over the one of that name in the same directory.

    Raises `pydantic.ValidationError` for what a recipe cannot hold, `yaml.YAMLError` for what is no YAML.
    """
    return Recipe.model_validate({"name": path.stem, **_data(path)})


def _data(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    base = data.pop("extends", None)
    if base is None:
        return data
    return merged(_data(path.with_name(f"{base}.yaml")), data)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`: maps are merged, anything else is replaced."""
    both = {**below, **above}
    for key, value in above.items():
        under = below.get(key)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            both[key] = merged(under, value)
    return both
