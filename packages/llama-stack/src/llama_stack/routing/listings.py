"""The last known listing of each provider, kept in KV and shared by every process that serves the same stack.

Keys: `listing/<provider_id>` (JSON) and `version`, a counter that whoever changes a listing adds to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace

from llama_stack.routing.entries import Listed
from llama_stack_api.ports.kv import KV

LISTED_MAX = 10_000
"""Resources of one provider; what is beyond is dropped, and the observer hears how many."""
VALUE_BYTES_MAX = 1 << 20
"""The KV port's limit on a value."""
METADATA_KEPT = ("embedding_dimension", "context_length")
"""What is kept of metadata when all of it does not fit a value."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a provider lists. `listed_at_unix_s` is 0 before anything is known; `verified`: seen since the start."""

    resources: tuple[Listed, ...] = ()
    listed_at_unix_s: float = 0.0
    verified: bool = False
    _by_id: dict[str, Listed] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {listed.id: listed for listed in self.resources})

    def find(self, resource_id: str) -> Listed | None:
        return self._by_id.get(resource_id)

    def first_of(self, kind: str) -> Listed | None:
        return next((listed for listed in self.resources if listed.kind == kind), None)

    def updated(self, listed: Iterable[Listed], now_unix_s: float) -> Listing:
        """The next listing: a resource that was known keeps the time when it was first seen; ids are unique."""
        before = {known.id: known.created for known in self.resources}
        unique = {found.id: found for found in listed}
        resources = (replace(found, created=before.get(found.id, int(now_unix_s))) for found in unique.values())
        return Listing(tuple(resources), now_unix_s, verified=True)


def encode(listing: Listing) -> bytes:
    """JSON of at most `VALUE_BYTES_MAX`: metadata is cut down first, then the last resources are left out."""
    resources = [asdict(listed) for listed in listing.resources]
    value = _dump(listing, resources)
    if len(value) <= VALUE_BYTES_MAX:
        return value
    for resource in resources:
        resource["metadata"] = {key: resource["metadata"][key] for key in METADATA_KEPT if key in resource["metadata"]}
    while len(value := _dump(listing, resources)) > VALUE_BYTES_MAX:
        resources = resources[: len(resources) // 2]
    return value


def decode(value: bytes) -> Listing:
    """A listing as another process, or an earlier run, saw it: not verified. Raises ValueError if it is none."""
    try:
        data = json.loads(value)
        resources = tuple(Listed(**resource) for resource in data["resources"])
        return Listing(resources, float(data["listed_at_unix_s"]))
    except (TypeError, KeyError) as error:
        raise ValueError("not a persisted listing") from error


def _dump(listing: Listing, resources: list[dict[str, object]]) -> bytes:
    data = {"listed_at_unix_s": listing.listed_at_unix_s, "resources": resources}
    return json.dumps(data, separators=(",", ":"), default=str).encode()


class ListingStore:
    """Listings and their version in KV. Raises what the KV backend raises."""

    def __init__(self, kv: KV) -> None:
        self._kv = kv

    async def load(self, provider_id: str) -> Listing | None:
        """None if there is none, or one that a former version wrote and this one cannot read."""
        value = await self._kv.get(f"listing/{provider_id}")
        try:
            return None if value is None else decode(value)
        except ValueError:
            return None

    async def save(self, provider_id: str, listing: Listing) -> int:
        """Write and return the version that makes the others look."""
        await self._kv.set(f"listing/{provider_id}", encode(listing))
        return await self._kv.add("version", 1)

    async def version(self) -> int:
        value = await self._kv.get("version")
        return 0 if value is None else int(value)
