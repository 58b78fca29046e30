"""The routing table of models, and inference providers as routing sees them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from llama_stack.routing.discovery import Discovery
from llama_stack.routing.entries import Listed, ListResources, RoutedProvider
from llama_stack.routing.errors import RegisteredResourceInvalid
from llama_stack.routing.observer import RoutingObserver, SilentObserver
from llama_stack.routing.registered import (
    ModelBuilder,
    ModelEntry,
    RegisteredModel,
    listed_model,
    registered_problems,
)
from llama_stack.routing.request_listings import RequestListings
from llama_stack.routing.table import RoutingTable
from llama_stack_api.errors import ModelNotFound
from llama_stack_api.ports.inference import ModelListing, ModelType
from llama_stack_api.principal import Call

__all__ = ["ModelEntry", "ModelTable", "RegisteredModel", "inference_provider", "registered_problems"]


def inference_provider(
    provider_id: str, impl: object, *, config: object = None, data_keys: Iterable[str] = ()
) -> RoutedProvider:
    """An opened provider as routing sees it. Of its config, `allowed_models` and `refresh_models` are read.

    A provider that cannot list its models takes any id, as does one with an attribute `serves_unlisted_models` that is
    true (deployments, gateways): its upstream is the judge of it.
    """
    allowed = getattr(config, "allowed_models", None)
    return RoutedProvider(
        id=provider_id,
        impl=impl,
        list_resources=_list_models(impl) if isinstance(impl, ModelListing) else None,
        allowed=None if allowed is None else frozenset(allowed),
        allow_unlisted=not isinstance(impl, ModelListing) or bool(getattr(impl, "serves_unlisted_models", False)),
        refresh=bool(getattr(config, "refresh_models", False)),
        data_keys=frozenset(data_keys),
    )


def _list_models(impl: ModelListing) -> ListResources:
    async def list_models(call: Call) -> list[Listed]:
        return [Listed(model.id, model.model_type.value, model.metadata) for model in await impl.list_models(call)]

    return list_models


class ModelTable(RoutingTable[ModelEntry]):
    """Models → providers. Raises `RegisteredResourceInvalid` if the registered models do not fit the providers.

    `absent` are the ids of providers that are configured but did not open: models are served without them.
    """

    noun = "model"
    not_found = ModelNotFound
    param = "model"

    def __init__(
        self,
        registered: Sequence[RegisteredModel],
        providers: Sequence[RoutedProvider],
        discovery: Discovery,
        *,
        absent: Collection[str] = (),
        created_unix_s: int = 0,
        first_discovery_wait_s: float = 5.0,
        request_listings: RequestListings | None = None,
        observer: RoutingObserver | None = None,
    ) -> None:
        problems = registered_problems(registered, providers, absent)
        if problems:
            raise RegisteredResourceInvalid("\n".join(problems))
        super().__init__(providers, discovery, absent=absent, first_discovery_wait_s=first_discovery_wait_s)
        self._registered = registered
        self._builder = ModelBuilder(providers, discovery.listing, created_unix_s)
        self._request_listings = request_listings or RequestListings()
        self._observer = observer or SilentObserver()
        self._reported: set[tuple[str, str]] = set()
        self.rebuild()

    def build(self) -> list[ModelEntry]:
        for model in self._registered:
            for missing in {(model.model_id, provider_id) for provider_id in self._builder.not_listed(model)}:
                if missing not in self._reported:
                    self._reported.add(missing)
                    self._observer.resource_not_listed(*missing)
        return self._builder.entries(self._registered)

    async def unlisted(
        self, provider: RoutedProvider, resource_id: str, call: Call, kind: str | None
    ) -> ModelEntry | None:
        """The caller's own key may see models that ours does not; a provider that cannot list is simply asked."""
        listed = None
        if provider.allow_unlisted:
            listed = Listed(resource_id, kind or ModelType.llm.value)
        elif provider.list_resources is not None and not provider.data_keys.isdisjoint(call.provider_data):
            listed = await self._request_listings.find(provider, resource_id, call)
        if listed is None:
            return None
        return listed_model(provider, listed, verified=not provider.allow_unlisted, origin="request")
