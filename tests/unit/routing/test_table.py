import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import SecretStr

from llama_stack.config.resources import ModelEntry as ConfiguredModel
from llama_stack.routing.entries import RoutedProvider
from llama_stack.routing.errors import ProviderRefused, RegisteredResourceInvalid
from llama_stack.routing.models import ModelEntry, ModelTable
from llama_stack_api.errors import InvalidRequest, ModelNotFound, ProviderRejectedCredentials, ProviderUnreachable
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from tests.unit.routing.parts import (
    Gateway,
    ListingProvider,
    ManualClock,
    Place,
    Registered,
    Remembering,
    discovery,
    provider,
    settle,
)

pytestmark = pytest.mark.anyio

EMBEDDER = ProviderModel("minilm", ModelType.embedding, {"embedding_dimension": 384})


async def table_of(
    providers: Sequence[RoutedProvider],
    *registered: Registered,
    listed: bool = True,
    observer: Remembering | None = None,
    wait_s: float = 60,
) -> ModelTable:
    """A table; `listed` asks each provider once, in order, as discovery does in the background."""
    found = discovery(providers)
    table = ModelTable(
        registered, providers, found, created_unix_s=77, first_discovery_wait_s=wait_s, observer=observer
    )
    for one in providers if listed else ():
        if one.list_resources is not None:
            await found.list_once(one.id)
    return table


def where(entry: ModelEntry | None) -> list[str]:
    assert entry is not None
    return [target.key for target in entry.targets]


async def refusal(table: ModelTable, identifier: str, **options: Any) -> str:
    with pytest.raises(ModelNotFound) as raised:
        await table.resolve(identifier, call=options.pop("call", Call()), **options)
    assert raised.value.param == "model"
    assert raised.value.code == "model_not_found"
    return raised.value.message


class TestIds:
    async def test_a_listed_model_is_found_by_its_canonical_and_its_bare_id(self) -> None:
        impl = ListingProvider("gpt-4o", EMBEDDER)
        table = await table_of([provider("openai", impl)])
        entry = table.lookup("openai/gpt-4o")
        assert entry is not None
        assert entry is table.lookup("gpt-4o") is await table.resolve("gpt-4o", call=Call())
        assert (entry.origin, entry.verified, entry.created) == ("discovered", True, 1_000)
        assert table.get_provider_impl("gpt-4o") is impl
        assert [one.identifier for one in table.entries()] == ["openai/gpt-4o", "openai/minilm"]
        assert [one.model_type for one in table.entries()] == [ModelType.llm, ModelType.embedding]

    async def test_an_ambiguous_bare_id_lists_its_candidates(self) -> None:
        table = await table_of([provider("a", ListingProvider("llama")), provider("b", ListingProvider("llama"))])
        message = await refusal(table, "llama")
        assert message == "model 'llama' not found: several providers have it; name one of a/llama, b/llama"
        assert where(table.lookup("b/llama")) == ["b/llama"]

    async def test_an_unknown_id_gets_the_nearest_or_the_providers(self) -> None:
        table = await table_of([provider("openai", ListingProvider("gpt-4o", "gpt-4o-mini"))])
        assert "did you mean openai/gpt-4o" in await refusal(table, "openai/gpt4o")
        assert "providers: openai" in await refusal(table, "unrelated-name")
        with pytest.raises(ModelNotFound):
            table.get_provider_impl("nope")

    async def test_a_very_long_id_is_shown_in_part(self) -> None:
        table = await table_of([provider("openai", ListingProvider("gpt-4o"))])
        assert len(await refusal(table, "x" * 100_000)) < 500

    async def test_another_type_is_refused_with_what_the_model_is(self) -> None:
        table = await table_of([provider("local", ListingProvider(EMBEDDER))])
        with pytest.raises(
            InvalidRequest, match="'local/minilm' is of type 'embedding', and 'llm' is needed"
        ) as raised:
            await table.resolve("minilm", call=Call(), kind=ModelType.llm)
        assert raised.value.param == "model"
        assert (await table.resolve("minilm", call=Call(), kind=ModelType.embedding)).identifier == "local/minilm"


class TestRegistered:
    async def test_an_alias_is_prefixed_with_its_provider_and_found_bare(self) -> None:
        table = await table_of(
            [provider("openai", ListingProvider("gpt-4o")), provider("vllm", ListingProvider())],
            Registered("smart", "openai", "gpt-4o", metadata={"tier": 1}, aliases=["best", "default/chat"]),
        )
        entry = table.lookup("openai/smart")
        assert where(entry) == ["openai/gpt-4o"]
        for name in ("smart", "best", "default/chat"):
            assert table.lookup(name) is entry
        assert entry is not None
        assert (entry.origin, entry.created, entry.metadata, entry.verified) == ("config", 77, {"tier": 1}, True)
        assert where(table.lookup("gpt-4o")) == ["openai/gpt-4o"]

    async def test_a_name_that_is_prefixed_already_stays_as_it_is(self) -> None:
        table = await table_of(
            [provider("openai", ListingProvider("gpt-4o"))], Registered("openai/gpt-4o", "openai", "gpt-4o")
        )
        assert [one.identifier for one in table.entries()] == ["openai/gpt-4o"]
        assert table.entries()[0].origin == "config"

    async def test_all_keeps_the_name_bare_and_goes_to_the_first_provider_that_lists_the_model(self) -> None:
        providers = [provider("a", ListingProvider("x")), provider("b", ListingProvider("llama"))]
        table = await table_of(providers, Registered("chat", "all", "llama"))
        assert where(table.lookup("chat")) == ["b/llama"]
        assert table.lookup("b/chat") is None
        unlisted = await table_of(providers, Registered("chat", "all", "llama"), listed=False)
        assert where(unlisted.lookup("chat")) == ["a/llama"]

    async def test_auto_is_the_first_listed_model_of_the_type(self) -> None:
        providers = [provider("down", ListingProvider()), provider("local", ListingProvider(EMBEDDER, "llama", "qwen"))]
        table = await table_of(
            providers,
            Registered("chat", "local", "auto"),
            Registered("embed", "all", "auto", model_type="embedding"),
        )
        assert where(table.lookup("local/chat")) == ["local/llama"]
        assert where(table.lookup("embed")) == ["local/minilm"]
        embed = table.lookup("embed")
        assert embed is not None
        assert embed.metadata == {"embedding_dimension": 384}

    async def test_auto_waits_for_the_first_discovery(self) -> None:
        local = ListingProvider("llama", gated=True)
        table = await table_of([provider("local", local)], Registered("chat", "all", "auto"), listed=False)
        assert table.lookup("chat") is None
        resolving = asyncio.ensure_future(table.resolve("chat", call=Call()))
        listing = asyncio.ensure_future(table.discovery.list_once("local"))
        await settle()
        assert not resolving.done()
        local.gate.set()
        assert where(await resolving) == ["local/llama"]
        assert await listing

    async def test_several_targets_make_one_model_under_its_own_name(self) -> None:
        table = await table_of(
            [provider("a", ListingProvider("llama")), provider("b", ListingProvider("meta/llama"))],
            Registered("smart", targets=[Place("a", "llama", 3), Place("b", "meta/llama")], strategy="balance"),
        )
        entry = table.lookup("smart")
        assert where(entry) == ["a/llama", "b/meta/llama"]
        assert entry is not None
        assert (entry.strategy, [target.weight for target in entry.targets]) == ("balance", [3, 1])
        assert entry.verified

    async def test_the_models_of_the_run_config_are_taken_as_they_are(self) -> None:
        configured = ConfiguredModel.model_validate(
            {"model_id": "smart", "targets": [{"provider_id": "a", "provider_model_id": "llama"}, {"provider_id": "a"}]}
        )
        found = discovery([provider("a", ListingProvider())])
        table = ModelTable([configured], [provider("a", ListingProvider())], found)
        assert where(table.lookup("smart")) == ["a/llama", "a/smart"]

    async def test_the_only_provider_need_not_be_named(self) -> None:
        table = await table_of([provider("local", ListingProvider("llama"))], Registered("llama"))
        assert where(table.lookup("local/llama")) == ["local/llama"]

    async def test_what_the_provider_does_not_list_is_served_unverified_and_reported_once(self) -> None:
        observer, impl = Remembering(), ListingProvider("other")
        table = await table_of(
            [provider("azure", impl)],
            Registered("missing", "azure"),
            Registered("exempt", "azure", model_validation=False),
            observer=observer,
        )
        table.rebuild()
        missing, exempt = table.lookup("azure/missing"), table.lookup("azure/exempt")
        assert missing is not None
        assert exempt is not None
        assert (missing.verified, exempt.verified) == (False, True)
        assert observer.not_listed == [("missing", "azure")]

    @pytest.mark.parametrize(
        ("registered", "complaint"),
        [
            ([Registered("m", "nope")], "no inference provider 'nope' (there are: a, b)"),
            ([Registered("m", targets=[Place("a"), Place("nope")])], "no inference provider 'nope'"),
            ([Registered("m")], "`provider_id` is needed"),
            ([Registered("m", "b", "x")], "`allowed_models` of provider 'b' leaves out 'x'"),
            ([Registered("m", "a"), Registered("a/m", "a")], "the name 'a/m' is already that of"),
            ([Registered("m", "a", aliases=["n"]), Registered("n", "all")], "the name 'n' is already that of"),
        ],
    )
    async def test_what_cannot_be_served_is_said_at_the_start(
        self, registered: list[Registered], complaint: str
    ) -> None:
        providers = [provider("a", ListingProvider()), provider("b", ListingProvider(), allowed_models=["y"])]
        with pytest.raises(RegisteredResourceInvalid) as raised:
            ModelTable(registered, providers, discovery(providers))
        assert complaint in str(raised.value)
        assert "registered_resources.models[" in str(raised.value)

    async def test_a_provider_that_did_not_open_takes_no_other_with_it(self) -> None:
        providers = [provider("a", ListingProvider("llama", "gone/y"))]
        registered = [Registered("smart", targets=[Place("gone", "x"), Place("a", "llama")]), Registered("m", "gone")]
        table = ModelTable(registered, providers, discovery(providers), absent=["gone"])
        await table.discovery.list_once("a")
        assert where(table.lookup("smart")) == ["a/llama"]
        assert table.lookup("m") is None
        assert "provider 'gone' did not open" in await refusal(table, "gone/m")
        assert "provider 'gone' did not open" in await refusal(table, "gone/y"), "not that of another provider"

    async def test_a_slash_belongs_to_no_provider_id(self) -> None:
        with pytest.raises(ProviderRefused, match="provider_id 'a/b' has a '/'"):
            provider("a/b", Gateway())

    async def test_without_any_provider_the_remedy_is_named(self) -> None:
        with pytest.raises(RegisteredResourceInvalid, match=r"providers\.inference"):
            ModelTable([Registered("m", "all")], [], discovery([]))


class TestFirstDiscovery:
    async def test_many_requests_wait_together_for_one_listing(self) -> None:
        slow = ListingProvider("llama", gated=True)
        table = await table_of([provider("ollama", slow)], listed=False)
        await table.discovery.start()
        requests = [asyncio.ensure_future(table.resolve("ollama/llama", call=Call())) for _ in range(50)]
        requests += [asyncio.ensure_future(table.resolve("llama", call=Call()))]
        await settle()
        slow.gate.set()
        assert {entry.identifier for entry in await asyncio.gather(*requests)} == {"ollama/llama"}
        assert len(slow.calls) == 1
        await table.discovery.close()

    async def test_a_model_that_is_new_at_its_provider_is_found_on_first_use(self) -> None:
        wall_clock, impl = ManualClock(), ListingProvider("llama")
        providers = [provider("ollama", impl)]
        table = ModelTable([], providers, discovery(providers, wall_clock=wall_clock))
        await table.discovery.start()
        await settle()
        impl.models = ["llama", "qwen"]
        await refusal(table, "ollama/qwen")
        assert len(impl.calls) == 1, "it was asked just now"
        wall_clock.now += 10
        wanted = [asyncio.ensure_future(table.resolve("ollama/qwen", call=Call())) for _ in range(5)]
        assert {entry.identifier for entry in await asyncio.gather(*wanted)} == {"ollama/qwen"}
        for _ in range(5):
            await refusal(table, "ollama/mistyped")
        assert len(impl.calls) == 2
        await table.discovery.close()

    async def test_a_dead_provider_delays_only_its_own_models(self) -> None:
        dead = ListingProvider(gated=True)
        table = await table_of(
            [provider("dead", dead), provider("ok", ListingProvider("llama"))], listed=False, wait_s=0.01
        )
        await table.discovery.start()
        await settle()
        assert where(await table.resolve("ok/llama", call=Call())) == ["ok/llama"]
        assert "did you mean ok/llama" in await refusal(table, "ok/lama")
        assert "has not listed its resources yet" in await refusal(table, "dead/llama")
        await table.discovery.close()

    async def test_the_404_of_an_unhealthy_provider_says_so(self) -> None:
        down = ListingProvider()
        down.error = ProviderUnreachable("connection refused")
        table = await table_of([provider("ollama", down)])
        assert await refusal(table, "ollama/llama") == (
            "model 'ollama/llama' not found: provider 'ollama' is unhealthy (connection refused) and is tried again"
        )

    async def test_a_change_swaps_the_table_and_moves_its_version(self) -> None:
        impl = ListingProvider("a")
        table = await table_of([provider("ollama", impl)])
        assert table.version == 1
        impl.models = ["b"]
        await table.discovery.list_once("ollama")
        assert table.version == 2
        assert [one.identifier for one in table.entries()] == ["ollama/b"]
        assert table.lookup("a") is None


class TestCallersOwnKeys:
    def call(self, key: str = "sk-1", name: str = "openai_api_key") -> Call:
        return Call(provider_data={name: SecretStr(key)})

    async def keyed_table(self, impl: ListingProvider, **config: Any) -> ModelTable:
        table = await table_of([provider("openai", impl, **config)])
        impl.models = ["private", "gpt-4o", EMBEDDER]
        impl.calls.clear()
        return table

    async def test_what_the_callers_key_lists_is_routable_for_that_call_alone(self) -> None:
        impl = ListingProvider("gpt-4o")
        table = await self.keyed_table(impl)
        entry = await table.resolve("openai/private", call=self.call())
        assert (where(entry), entry.origin) == (["openai/private"], "request")
        assert impl.calls[0].provider_data["openai_api_key"].get_secret_value() == "sk-1"
        assert table.lookup("openai/private") is None
        await refusal(table, "openai/private")
        await refusal(table, "openai/private", call=self.call(name="groq_api_key"))
        await refusal(table, "openai/absent", call=self.call())
        with pytest.raises(InvalidRequest, match="'embedding'"):
            await table.resolve("openai/minilm", call=self.call(), kind="llm")

    async def test_a_listing_is_remembered_per_whole_key(self) -> None:
        impl = ListingProvider("gpt-4o")
        table = await self.keyed_table(impl)
        for key in ("sk-1", "sk-1", "sk-10", "sk-1"):
            await table.resolve("openai/private", call=self.call(key))
        assert [call.provider_data["openai_api_key"].get_secret_value() for call in impl.calls] == ["sk-1", "sk-10"]

    async def test_allowed_models_bind_callers_with_their_own_key_too(self) -> None:
        table = await self.keyed_table(ListingProvider("gpt-4o"), allowed_models=["gpt-4o"])
        await refusal(table, "openai/private", call=self.call())

    async def test_a_key_that_the_provider_rejects_is_said_to_be_so(self) -> None:
        impl = ListingProvider("gpt-4o")
        table = await self.keyed_table(impl)
        impl.error = ProviderRejectedCredentials("bad key")
        with pytest.raises(ProviderRejectedCredentials):
            await table.resolve("openai/private", call=self.call())

    async def test_a_provider_that_cannot_list_takes_any_id_that_is_allowed(self) -> None:
        table = await table_of([provider("free", Gateway()), provider("bound", Gateway(), allowed_models=["x"])])
        entry = await table.resolve("free/any/model", call=Call(), kind=ModelType.embedding)
        assert (where(entry), entry.kind, entry.verified) == (["free/any/model"], "embedding", False)
        assert where(await table.resolve("bound/x", call=Call())) == ["bound/x"]
        await refusal(table, "bound/y")
        await refusal(table, "any")
