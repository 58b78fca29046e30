"""What a routing table holds: resources, and the targets that serve them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from llama_stack.routing.errors import ProviderRefused
from llama_stack_api.principal import Call

Strategy: TypeAlias = Literal["fallback", "balance"]
Origin: TypeAlias = Literal["config", "discovered", "request"]


@dataclass(frozen=True, slots=True)
class Target:
    """A resource at one provider. `key` names it for breakers and metrics; `weight` counts under `balance` only."""

    provider_id: str
    provider_resource_id: str
    provider: object = field(repr=False)
    weight: float = 1.0
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.provider_id}/{self.provider_resource_id}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A resource and who serves it, in order.

    `kind` tells resources of one table apart (`llm`, `embedding`, …). `origin` is `request` for an entry that was made
    for one call and is in no table. `verified` says that a provider has listed it since the start, or that none needs
    to. `created` is in Unix seconds.
    """

    identifier: str
    kind: str
    targets: tuple[Target, ...]
    strategy: Strategy = "fallback"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin = "config"
    verified: bool = True
    created: int = 0
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A resource as its provider lists it. `created` is when we first saw it, in Unix seconds."""

    id: str
    kind: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created: int = 0


ListResources: TypeAlias = Callable[[Call], Awaitable[Sequence[Listed]]]


@dataclass(frozen=True, slots=True)
class RoutedProvider:
    """A provider as routing sees it.

    `list_resources` is None where the provider cannot list. `allowed` limits the provider's resource ids (None: all).
    `allow_unlisted` routes ids that it does not list. `refresh` lists again at every interval, not only until the first
    success. `data_keys` are the keys of `X-LlamaStack-Provider-Data` that this provider reads.
    """

    id: str
    impl: object = field(repr=False)
    list_resources: ListResources | None = None
    allowed: frozenset[str] | None = None
    allow_unlisted: bool = False
    refresh: bool = False
    data_keys: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if "/" in self.id:
            raise ProviderRefused(
                f"provider_id {self.id!r} has a '/', which ends a provider's id in a model's; rename it"
            )

    def allows(self, resource_id: str) -> bool:
        return self.allowed is None or resource_id in self.allowed

    def target(self, resource_id: str, weight: float = 1.0) -> Target:
        return Target(self.id, resource_id, self.impl, weight)
