"""What a provider lists for the key that a single call brought along."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from llama_stack.routing.entries import Listed, RoutedProvider
from llama_stack.routing.listings import LISTED_MAX
from llama_stack_api.errors import ProviderTimeout
from llama_stack_api.principal import Call

_Known = Mapping[str, Listed]


class RequestListings:
    """Listings by caller's key, remembered for `ttl_s`, at most `remembered_max` of them.

    They are found again by a keyed digest over the whole of the caller's provider data, with a key that lives in this
    process only: neither the secret nor anything that could be looked up from it is kept.
    """

    def __init__(
        self,
        *,
        ttl_s: float = 60.0,
        remembered_max: int = 256,
        timeout_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ttl_s = ttl_s
        self._remembered_max = remembered_max
        self._timeout_s = timeout_s
        self._clock = clock
        self._digest_key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[float, _Known]] = OrderedDict()

    async def find(self, provider: RoutedProvider, resource_id: str, call: Call) -> Listed | None:
        """The resource if the provider lists it for this call's keys. Raises what the provider raises."""
        assert provider.list_resources is not None, f"provider {provider.id!r} cannot list"
        digest = self._digest(provider, call)
        expires_at, known = self._known.get(digest, (0.0, {}))
        if self._clock() >= expires_at:
            try:
                async with asyncio.timeout(self._timeout_s):
                    listed = await provider.list_resources(call)
            except TimeoutError:
                raise ProviderTimeout(
                    f"provider {provider.id!r} did not list its models within {self._timeout_s:g} s"
                ) from None
            known = self._remember(digest, listed)
        return known.get(resource_id)

    def _remember(self, digest: bytes, listed: Sequence[Listed]) -> _Known:
        known = {found.id: found for found in listed[:LISTED_MAX]}
        self._known[digest] = (self._clock() + self._ttl_s, known)
        self._known.move_to_end(digest)
        while len(self._known) > self._remembered_max:
            self._known.popitem(last=False)
        return known

    def _digest(self, provider: RoutedProvider, call: Call) -> bytes:
        digest = hashlib.blake2b(provider.id.encode(), key=self._digest_key, digest_size=32)
        for name in sorted(provider.data_keys.intersection(call.provider_data)):
            secret = call.provider_data[name].get_secret_value().encode()
            digest.update(b"%d:%s%d:" % (len(name), name.encode(), len(secret)))
            digest.update(secret)
        return digest.digest()
