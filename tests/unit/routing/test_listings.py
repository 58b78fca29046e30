import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from llama_stack.routing.entries import Listed, RoutedProvider
from llama_stack.routing.listings import LISTED_MAX, VALUE_BYTES_MAX, Listing, ListingStore, decode, encode
from llama_stack.routing.request_listings import RequestListings
from llama_stack_api.principal import Call
from tests.unit.routing.parts import memory_kv

json_values: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10)
resources = st.builds(
    Listed,
    st.text(min_size=1, max_size=20),
    st.sampled_from(["llm", "embedding"]),
    st.dictionaries(st.text(max_size=8), json_values, max_size=3),
    st.integers(0, 2**40),
)


@given(st.lists(resources, max_size=10).map(tuple), st.floats(0, 2**40))
def test_what_is_written_is_read_as_unverified(found: tuple[Listed, ...], at: float) -> None:
    assert decode(encode(Listing(found, at, verified=True))) == Listing(found, at, verified=False)


def test_a_large_listing_fits_one_value() -> None:
    metadata = {"description": "x" * 500, "context_length": 4096}
    listing = Listing(tuple(Listed(f"model-{number}", "llm", metadata) for number in range(5_000)), 1.0)
    value = encode(listing)
    assert len(value) <= VALUE_BYTES_MAX
    assert len(decode(value).resources) == 5_000
    assert decode(value).resources[0].metadata == {"context_length": 4096}
    huge = Listing(tuple(Listed("x" * 400 + str(number), "llm") for number in range(5_000)), 1.0)
    assert len(encode(huge)) <= VALUE_BYTES_MAX


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"resources": [1], "listed_at_unix_s": 1}', b"\xff"])
def test_rubbish_is_no_listing(value: bytes) -> None:
    with pytest.raises(ValueError):
        decode(value)


def test_a_known_resource_keeps_the_time_of_its_first_sight() -> None:
    first = Listing().updated([Listed("a", "llm"), Listed("a", "embedding")], 100.5)
    second = first.updated([Listed("b", "llm"), Listed("a", "embedding")], 200.5)
    assert [(found.id, found.kind, found.created) for found in second.resources] == [
        ("b", "llm", 200),
        ("a", "embedding", 100),
    ]


@pytest.mark.anyio
async def test_the_store_counts_versions_and_survives_rubbish() -> None:
    kv = memory_kv()
    store = ListingStore(kv)
    assert await store.version() == 0
    assert await store.load("ollama") is None
    listing = Listing((Listed("a", "llm"),), 5.0, verified=True)
    assert await store.save("ollama", listing) == 1
    assert await store.save("ollama", listing) == 2
    assert await store.version() == 2
    assert await store.load("ollama") == Listing(listing.resources, 5.0)
    await kv.set("listing/ollama", json.dumps({"other": "format"}).encode())
    assert await store.load("ollama") is None


@pytest.mark.anyio
async def test_what_a_callers_key_lists_is_bounded() -> None:
    async def everything(call: Call) -> list[Listed]:
        return [Listed(f"m{number}", "llm") for number in range(LISTED_MAX + 1)]

    provider = RoutedProvider("p", object(), list_resources=everything, data_keys=frozenset({"key"}))
    listings = RequestListings()
    call = Call(provider_data={"key": SecretStr("k")})
    assert await listings.find(provider, f"m{LISTED_MAX - 1}", call) is not None
    assert await listings.find(provider, f"m{LISTED_MAX}", call) is None
