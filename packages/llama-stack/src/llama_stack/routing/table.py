"""Resource → providers: one dict read per request, and what to do when that read finds nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Generic, NoReturn, TypeVar

from llama_stack.routing.discovery import Discovery
from llama_stack.routing.entries import Entry, RoutedProvider, Strategy, Target
from llama_stack.routing.health import HealthState
from llama_stack.routing.names import NameIndex, index_names, nearest
from llama_stack_api.errors import InvalidRequest, NotFound
from llama_stack_api.principal import Call

__all__ = ["Entry", "RoutingTable", "Strategy", "Target"]

E_co = TypeVar("E_co", bound=Entry, covariant=True)

SHOWN_CANDIDATES_MAX = 10
SHOWN_ID_CHARS_MAX = 200


class RoutingTable(ABC, Generic[E_co]):
    """The core that models share with shields, vector stores and tool groups.

    A kind of resource says how its entries are made of what is registered and what is listed (`build`), what to do with
    an id that no provider has listed (`unlisted`), and how a miss is worded. The table is rebuilt whole when a listing
    changes and swapped in at once, so a reader needs neither lock nor await.
    """

    noun = "resource"
    not_found: type[NotFound] = NotFound
    param = "id"

    def __init__(
        self,
        providers: Sequence[RoutedProvider],
        discovery: Discovery,
        *,
        absent: Collection[str] = (),
        first_discovery_wait_s: float = 5.0,
    ) -> None:
        self.providers = {provider.id: provider for provider in providers}
        self.discovery = discovery
        self._absent = frozenset(absent)
        self._first_discovery_wait_s = first_discovery_wait_s
        self._index: NameIndex[E_co] = NameIndex({}, {})
        self._names = self._index.names
        self._entries: list[E_co] = []
        discovery.subscribe(self.rebuild)

    @abstractmethod
    def build(self) -> list[E_co]:
        """All entries, in the order in which they are listed."""

    @abstractmethod
    async def unlisted(self, provider: RoutedProvider, resource_id: str, call: Call, kind: str | None) -> E_co | None:
        """An entry for this call alone, of an id that is in no listing; None if there is no reason to route it."""

    @property
    def version(self) -> int:
        """Grows with every change of the table, on every process that shares it."""
        return self.discovery.version

    def rebuild(self) -> None:
        entries = self.build()
        self._index = index_names(entries, self._absent | self.providers.keys())
        self._names = self._index.names
        self._entries = entries

    def lookup(self, identifier: str) -> E_co | None:
        return self._names.get(identifier)

    def entries(self) -> list[E_co]:
        return list(self._entries)

    def get_provider_impl(self, identifier: str) -> object:
        """The provider that is asked first for this resource."""
        entry = self.lookup(identifier)
        if entry is None:
            self._fail(identifier)
        return entry.targets[0].provider

    async def resolve(self, identifier: str, *, call: Call, kind: str | None = None) -> E_co:
        """The entry of an id. One of another kind than the wanted `kind` is refused (`InvalidRequest`).

        A miss waits, at most `first_discovery_wait_s` and never past the call's deadline, for the first listing of all
        providers; or, if it names one, for a first or fresh listing of that one, which may serve now what it did not.
        """
        entry = self._names.get(identifier) or await self._find(identifier, call, kind)
        if kind is not None and entry.kind != kind:
            raise InvalidRequest(
                f"{self.noun} {entry.identifier!r} is of type '{entry.kind}', and '{kind}' is needed here"
                + (f"; if its provider lists it wrongly, register it as '{kind}'" if entry.origin != "config" else ""),
                param=self.param,
            )
        return entry

    async def _find(self, identifier: str, call: Call, kind: str | None) -> E_co:
        """An id that the table does not have now."""
        provider_id, _, resource_id = identifier.partition("/")
        provider = self.providers.get(provider_id) if resource_id else None
        awaited = [provider_id] if provider else list(self.providers)
        if provider is not None and provider.allows(resource_id):
            self.discovery.ask_again(provider_id)
        entry = await self.discovery.wait_for(
            lambda: self.lookup(identifier), awaited, timeout_s=self._first_discovery_wait_s, deadline=call.deadline
        )
        if entry is None and provider is not None and provider.allows(resource_id):
            entry = await self.unlisted(provider, resource_id, call, kind)
        if entry is None:
            self._fail(identifier)
        return entry

    def _fail(self, identifier: str) -> NoReturn:
        shown = identifier[:SHOWN_ID_CHARS_MAX]
        raise self.not_found(f"{self.noun} {shown!r} not found: {self._why(identifier)}", param=self.param)

    def _why(self, identifier: str) -> str:
        candidates = self._index.ambiguous.get(identifier)
        if candidates:
            more = ", …" if len(candidates) > SHOWN_CANDIDATES_MAX else ""
            return f"several providers have it; name one of {', '.join(candidates[:SHOWN_CANDIDATES_MAX])}{more}"
        provider_id, _, resource_id = identifier.partition("/")
        if resource_id and provider_id in self._absent:
            return f"provider {provider_id!r} did not open; GET /v1/providers/{provider_id} says why"
        if resource_id and provider_id in self.providers:
            health = self.discovery.health.get(provider_id)
            if health.state is HealthState.UNHEALTHY:
                return f"provider {provider_id!r} is unhealthy ({health.last_error}) and is tried again"
            if health.state is HealthState.UNKNOWN and not self.discovery.settled(provider_id):
                return f"provider {provider_id!r} has not listed its resources yet; try again"
        near = nearest(identifier, self._names)
        if near:
            return f"did you mean {', '.join(near)}?"
        return f"no provider lists it (providers: {', '.join(self.providers) or 'none'})"
