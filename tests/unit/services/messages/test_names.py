"""Which model a name of Anthropic's means."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError

from llama_stack.config.messages import MessagesConfig
from llama_stack.routing.models import ModelTable
from llama_stack.services.messages.names import ModelNames
from llama_stack_api.errors import ModelNotFound
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from tests.unit.routing.parts import ListingProvider, Registered, discovery, provider, settle

pytestmark = pytest.mark.anyio

EMBEDDER = ProviderModel("minilm", ModelType.embedding, {"embedding_dimension": 384})
DEFAULT = MessagesConfig().model_names


async def table_of(*registered: Registered, **providers: ListingProvider) -> ModelTable:
    routed = [provider(name, impl) for name, impl in providers.items()]
    table = ModelTable(registered, routed, discovery(routed))
    for name, impl in providers.items():
        if impl.gate.is_set():
            await table.discovery.list_once(name)
    return table


async def test_what_the_table_has_goes_first() -> None:
    table = await table_of(anthropic=ListingProvider("claude-sonnet-4-6"), local=ListingProvider("smol"))
    names = ModelNames(table, {"claude-sonnet-4-6": "local/smol", "claude-*": "local/smol"})
    assert await names.resolve("claude-sonnet-4-6", Call()) == "claude-sonnet-4-6"
    assert await names.resolve("anthropic/claude-sonnet-4-6", Call()) == "anthropic/claude-sonnet-4-6"
    assert await names.resolve("smol", Call()) == "smol"


async def test_exact_names_then_longer_prefixes_then_shorter_ones() -> None:
    table = await table_of(local=ListingProvider("big", "small", "one", "any"))
    names = ModelNames(
        table,
        {"claude-*": "local/big", "claude-haiku-*": "local/small", "claude-haiku-4-5": "local/one", "*": "local/any"},
    )
    asked = ["claude-opus-4-6", "claude-haiku-4-5-20251001", "claude-haiku-4-5", "gpt-5"]
    assert [await names.resolve(name, Call()) for name in asked] == [
        "local/big", "local/small", "local/one", "local/any",
    ]  # fmt: skip


async def test_a_name_without_a_rule_is_left_for_the_table_to_refuse() -> None:
    names = ModelNames(await table_of(local=ListingProvider("smol")), DEFAULT)
    assert await names.resolve("gpt-5", Call()) == "gpt-5"


async def test_a_name_that_says_its_provider_is_no_other_providers() -> None:
    table = await table_of(local=ListingProvider("smol"), openai=ListingProvider())
    names = ModelNames(table, {"*": "local/smol", "openai/exact": "local/smol"})
    asked = ["openai/gpt-5", "openai/exact", "elsewhere/gpt-5"]
    assert [await names.resolve(name, Call()) for name in asked] == ["openai/gpt-5", "local/smol", "local/smol"]


async def test_auto_is_the_first_llm_registered_ones_before_listed_ones() -> None:
    listed = await table_of(a=ListingProvider(EMBEDDER, "chat"), b=ListingProvider("other"))
    assert await ModelNames(listed, DEFAULT).resolve("claude-opus-4-6", Call()) == "a/chat"
    registered = await table_of(
        Registered("mine", "b", "other"), a=ListingProvider(EMBEDDER, "chat"), b=ListingProvider("other")
    )
    assert await ModelNames(registered, DEFAULT).resolve("claude-opus-4-6", Call()) == "b/mine"


async def test_of_several_providers_that_list_a_name_the_first_answers() -> None:
    table = await table_of(a=ListingProvider("x", "claude-opus-4-6"), b=ListingProvider("claude-opus-4-6"))
    assert await ModelNames(table, DEFAULT).resolve("claude-opus-4-6", Call()) == "a/claude-opus-4-6"


async def test_a_ruled_name_waits_for_the_first_listings() -> None:
    slow = ListingProvider("claude-opus-4-6", gated=True)
    table = await table_of(quick=ListingProvider("smol"), anthropic=slow)
    names = ModelNames(table, DEFAULT)
    asking = asyncio.create_task(names.resolve("claude-opus-4-6", Call()))
    listing = asyncio.create_task(table.discovery.list_once("anthropic"))
    await settle()
    assert not asking.done(), "the quick provider's model is not taken while the other may list the very name"
    slow.gate.set()
    await listing
    assert await asking == "claude-opus-4-6"


async def test_the_wait_ends_and_what_it_ended_with_is_not_remembered() -> None:
    slow = ListingProvider("claude-opus-4-6", gated=True)
    table = await table_of(quick=ListingProvider("smol"), anthropic=slow)
    names = ModelNames(table, DEFAULT, first_discovery_wait_s=0)
    assert await names.resolve("claude-opus-4-6", Call()) == "quick/smol"
    slow.gate.set()
    await table.discovery.list_once("anthropic")
    assert await names.resolve("claude-opus-4-6", Call()) == "claude-opus-4-6"


async def test_a_change_of_the_listings_is_noticed() -> None:
    local = ListingProvider("one", "two")
    table = await table_of(local=local)
    names = ModelNames(table, DEFAULT)
    assert await names.resolve("claude-opus-4-6", Call()) == "local/one"
    local.models = ["two"]
    await table.discovery.list_once("local")
    assert await names.resolve("claude-opus-4-6", Call()) == "local/two"


async def test_without_any_llm_the_refusal_names_the_setting() -> None:
    names = ModelNames(await table_of(local=ListingProvider(EMBEDDER)), DEFAULT)
    with pytest.raises(ModelNotFound, match=r"claude-opus-4-6.*server\.messages\.model_names") as raised:
        await names.resolve("claude-opus-4-6", Call())
    assert raised.value.param == "model"


@pytest.mark.parametrize("rules", [{"claude-*-5": "m"}, {"": "m"}, {"claude-*": ""}, {"**": "m"}])
def test_rules_that_can_mean_nothing_are_refused(rules: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        MessagesConfig(model_names=rules)


async def test_a_claude_name_is_anthropics_where_it_is_configured_even_if_its_list_cannot_be_had() -> None:
    class Claude(ListingProvider):
        own_names = "claude-"

    names = ModelNames(await table_of(local=ListingProvider("smol"), anthropic=Claude()), {"*": "auto"})
    assert await names.resolve("claude-sonnet-4-6", Call()) == "anthropic/claude-sonnet-4-6"
    assert await names.resolve("gpt-5", Call()) == "local/smol"
