"""Models as the run config registers them → table entries. Pure: the same input gives the same table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from llama_stack.routing.entries import Entry, Listed, Origin, RoutedProvider, Strategy, Target
from llama_stack.routing.listings import Listing
from llama_stack.routing.names import canonical_id
from llama_stack_api.ports.inference import ModelType

ALL_PROVIDERS = "all"
FIRST_LISTED = "auto"


class RegisteredTarget(Protocol):
    @property
    def provider_id(self) -> str: ...
    @property
    def provider_model_id(self) -> str | None: ...
    @property
    def weight(self) -> float: ...


class RegisteredModel(Protocol):
    """An entry of `registered_resources.models`. Either `targets`, or one provider (`all`: whichever serves it)."""

    @property
    def model_id(self) -> str: ...
    @property
    def provider_id(self) -> str | None: ...
    @property
    def provider_model_id(self) -> str | None: ...
    @property
    def model_type(self) -> str: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...
    @property
    def model_validation(self) -> bool | None: ...
    @property
    def targets(self) -> Sequence[RegisteredTarget]: ...
    @property
    def strategy(self) -> Strategy: ...
    @property
    def aliases(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class ModelEntry(Entry):
    """A model. `kind` is its type."""

    @property
    def model_type(self) -> ModelType:
        return ModelType(self.kind)


class ModelBuilder:
    """Makes the entries of a table from registered models, providers and their listings.

    Targets at a provider that is not among `providers` are left out, and a model without any other with them.
    """

    def __init__(
        self, providers: Sequence[RoutedProvider], listing: Callable[[str], Listing], created_unix_s: int
    ) -> None:
        self._providers = {provider.id: provider for provider in providers}
        self._listing = listing
        self._created = created_unix_s

    def entries(self, registered: Sequence[RegisteredModel]) -> list[ModelEntry]:
        """Registered models first, then the listed ones whose names they leave free.

        A registered `auto` of a provider that has listed nothing of its type yet is left out until it does.
        """
        entries = [entry for model in registered if (entry := self._registered(model)) is not None]
        taken = {entry.identifier for entry in entries}
        for entry in self._discovered():
            if entry.identifier not in taken:
                taken.add(entry.identifier)
                entries.append(entry)
        return entries

    def not_listed(self, model: RegisteredModel) -> Iterator[str]:
        """The ids of the providers that were asked and do not list this model, unless it is exempt from validation."""
        for target in self._targets(model) if model.model_validation is not False else ():
            listing = self._listing(target.provider_id)
            if listing.verified and listing.find(target.provider_resource_id) is None:
                yield target.provider_id

    def _registered(self, model: RegisteredModel) -> ModelEntry | None:
        targets = tuple(self._targets(model))
        if not targets:
            return None
        listed = self._listed(targets[0])
        return ModelEntry(
            identifier=registered_id(model, targets[0].provider_id),
            kind=str(model.model_type),
            targets=targets,
            strategy=model.strategy,
            metadata={**(listed.metadata if listed else {}), **model.metadata},
            verified=model.model_validation is False or all(self._verified(target) for target in targets),
            created=self._created,
            aliases=tuple(model.aliases),
        )

    def _discovered(self) -> Iterator[ModelEntry]:
        for provider in self._providers.values():
            listing = self._listing(provider.id)
            for listed in listing.resources:
                yield listed_model(provider, listed, verified=listing.verified)

    def _targets(self, model: RegisteredModel) -> Iterator[Target]:
        if model.targets:
            for place in model.targets:
                if place.provider_id in self._providers:
                    provider = self._providers[place.provider_id]
                    yield from self._target(model, provider, place.provider_model_id, place.weight)
        elif candidates := self._candidates(model):
            wanted = model.provider_model_id or model.model_id
            listing = (found for found in candidates if self._lists(found, wanted, model.model_type))
            yield from self._target(model, next(listing, candidates[0]), model.provider_model_id, 1.0)

    def _candidates(self, model: RegisteredModel) -> list[RoutedProvider]:
        """Where a model with a single target may be served, in the order of the configuration."""
        if model.provider_id not in (None, ALL_PROVIDERS):
            return [self._providers[model.provider_id]] if model.provider_id in self._providers else []
        wanted = model.provider_model_id or model.model_id
        return [found for found in self._providers.values() if wanted == FIRST_LISTED or found.allows(wanted)]

    def _target(
        self, model: RegisteredModel, provider: RoutedProvider, wanted: str | None, weight: float
    ) -> Iterator[Target]:
        resource_id = self._resource_id(provider, wanted or model.model_id, model.model_type)
        if resource_id is not None:
            yield provider.target(resource_id, weight)

    def _lists(self, provider: RoutedProvider, wanted: str, kind: str) -> bool:
        listing = self._listing(provider.id)
        return (listing.first_of(kind) if wanted == FIRST_LISTED else listing.find(wanted)) is not None

    def _resource_id(self, provider: RoutedProvider, wanted: str, kind: str) -> str | None:
        if wanted != FIRST_LISTED:
            return wanted
        listed = self._listing(provider.id).first_of(kind)
        return listed.id if listed else None

    def _listed(self, target: Target) -> Listed | None:
        return self._listing(target.provider_id).find(target.provider_resource_id)

    def _verified(self, target: Target) -> bool:
        if self._providers[target.provider_id].list_resources is None:
            return True
        return self._listing(target.provider_id).verified and self._listed(target) is not None


def listed_model(
    provider: RoutedProvider, listed: Listed, *, verified: bool, origin: Origin = "discovered"
) -> ModelEntry:
    return ModelEntry(
        identifier=canonical_id(provider.id, listed.id),
        kind=listed.kind,
        targets=(provider.target(listed.id),),
        metadata=listed.metadata,
        origin=origin,
        verified=verified,
        created=listed.created,
    )


def registered_id(model: RegisteredModel, provider_id: str) -> str:
    """The name as it stands where no one provider owns it (`targets`, `all`), else with its provider in front."""
    if model.targets or model.provider_id == ALL_PROVIDERS:
        return model.model_id
    return canonical_id(provider_id, model.model_id)


def registered_problems(
    registered: Sequence[RegisteredModel], providers: Sequence[RoutedProvider], absent: Collection[str] = ()
) -> list[str]:
    """What is wrong with registered models, one sentence each, naming the place and the fix.

    `absent` are providers that are configured but did not open: that is their problem, not the models'.
    """
    by_id = {provider.id: provider for provider in providers} | dict.fromkeys(absent)
    problems: list[str] = []
    taken: dict[str, str] = {}
    for model in registered:
        where = f"registered_resources.models[{model.model_id}]"
        found = list(_place_problems(model, by_id))
        problems += [f"{where}: {problem}" for problem in found]
        if found:
            continue
        only = model.provider_id or (next(iter(by_id)) if by_id else "")
        for name in (registered_id(model, only), *model.aliases):
            if name in taken:
                problems.append(f"{where}: the name {name!r} is already that of {taken[name]}; rename one of them")
            taken.setdefault(name, where)
    return problems


def _place_problems(model: RegisteredModel, providers: Mapping[str, RoutedProvider | None]) -> Iterator[str]:
    known = ", ".join(providers) or "none"
    if not model.targets and model.provider_id in (None, ALL_PROVIDERS):
        if not providers:
            yield "there is no inference provider to serve it; add one under `providers.inference`"
        elif model.provider_id is None and len(providers) > 1:
            yield f"`provider_id` is needed, as there are several inference providers ({known})"
        return
    places = [(place.provider_id, place.provider_model_id) for place in model.targets]
    for provider_id, wanted in places or [(str(model.provider_id), model.provider_model_id)]:
        if provider_id not in providers:
            yield f"there is no inference provider {provider_id!r} (there are: {known})"
            continue
        provider, resource_id = providers[provider_id], wanted or model.model_id
        if provider and resource_id != FIRST_LISTED and not provider.allows(resource_id):
            yield f"`allowed_models` of provider {provider_id!r} leaves out {resource_id!r}; add it or drop it here"
