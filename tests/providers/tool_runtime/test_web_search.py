"""Every provider of web search against its engine's wire format, whole and broken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderStreamBroken,
    ProviderTimeout,
    ProviderUnreachable,
    RateLimited,
)
from llama_stack_api.ports.tool_runtime import UserLocation, WebQuery, WebResult, WebSearch
from llama_stack_api.principal import Call
from llama_stack_api.provider import Descriptor, HealthStatus
from tests.providers.tool_runtime.conftest import Opening
from tests.support.search_engines import (
    BRAVE,
    ENGINES,
    KEY,
    KEYED,
    KEYLESS,
    PAGES,
    SEARXNG,
    TAVILY,
    Engine,
    Page,
    challenge_page,
    duckduckgo_lite_page,
    plain_results_page,
)
from tests.support.upstream import Answer, Cut, Stall, Upstream, Wire

pytestmark = pytest.mark.anyio
every = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
keyed = pytest.mark.parametrize("engine", KEYED, ids=lambda engine: engine.name)

PARIS = UserLocation("FR", "Île-de-France", "Paris", "Europe/Paris")


def key_of(call: str, engine: Engine) -> Call:
    assert engine.data_key is not None
    return Call(provider_data={engine.data_key: SecretStr(call)})


async def failure(provider: Any, call: Call | None = None) -> LlamaStackError:
    with pytest.raises(LlamaStackError) as raised:
        await provider.web_search(WebQuery("paris"), call or Call())
    return raised.value


@every
async def test_pages_are_results(engine: Engine, up: Upstream, opening: Opening) -> None:
    up.always(engine.answer(), on=engine.path)
    provider = opening.engine(engine)
    assert isinstance(provider, WebSearch)
    found = await provider.web_search(WebQuery("paris & français", results_max=10), Call())
    assert [result.url for result in found] == [page.url for page in PAGES]
    assert [result.title for result in found] == [page.title for page in PAGES]
    assert [result.text for result in found] == [page.text for page in PAGES]
    assert engine.query_of(up.last) == "paris & français"
    if engine is not KEYLESS:
        assert [result.published for result in found] == [page.published for page in PAGES]
    if engine in (TAVILY, SEARXNG):
        assert [result.score for result in found] == [page.score for page in PAGES]


@every
@pytest.mark.parametrize("wire", [Wire(split_bytes=7), Wire(gzip=True)], ids=["in pieces", "compressed"])
async def test_however_it_comes(engine: Engine, wire: Wire, up: Upstream, opening: Opening) -> None:
    up.always(engine.answer(wire=wire), on=engine.path)
    assert len(await opening.engine(engine).web_search(WebQuery("paris"), Call())) == 4


@every
async def test_nothing_found(engine: Engine, up: Upstream, opening: Opening) -> None:
    up.always(engine.answer([]), on=engine.path)
    assert await opening.engine(engine).web_search(WebQuery("paris"), Call()) == []


@every
async def test_no_more_results_than_wanted(engine: Engine, up: Upstream, opening: Opening) -> None:
    pages = [Page(f"https://a{number}.example/", "t", "x") for number in range(12)]
    up.always(engine.answer(pages), on=engine.path)

    async def count(query: WebQuery, **config: Any) -> int:
        return len(await opening.engine(engine, **config).web_search(query, Call()))

    assert await count(WebQuery("q", results_max=2)) == 2
    assert await count(WebQuery("q"), max_results=4) == 4
    assert await count(WebQuery("q"), top_k=6) == 6
    assert [await count(WebQuery("q", context_size=size)) for size in ("low", "medium", "high")] == [3, 5, 10]


@every
async def test_results_are_of_the_allowed_domains(engine: Engine, up: Upstream, opening: Opening) -> None:
    up.always(engine.answer(), on=engine.path)
    provider = opening.engine(engine)
    query = WebQuery("weather", allowed_domains=("https://Paris.example/", "lyon.example"))
    found = await provider.web_search(query, Call())
    assert [result.url for result in found] == [PAGES[0].url, PAGES[1].url, PAGES[3].url], "no notparis.example"
    if engine is TAVILY:
        assert up.last.body["include_domains"] == ["paris.example", "lyon.example"]
    else:
        assert engine.query_of(up.last) == "weather (site:paris.example OR site:lyon.example)"
    many = tuple(f"d{number}.example" for number in range(40))
    await provider.web_search(WebQuery("weather", allowed_domains=many), Call())
    assert engine.query_of(up.last) == "weather"


@every
async def test_the_same_page_is_one_result_and_what_is_none_is_left_out(
    engine: Engine, up: Upstream, opening: Opening
) -> None:
    strange = [PAGES[0], PAGES[0], Page("javascript:alert(1)", "x", "y"), Page("ftp://h/", "x", "y"), PAGES[3]]
    up.always(engine.answer(strange), on=engine.path)
    found = await opening.engine(engine).web_search(WebQuery("q"), Call())
    assert [result.url for result in found] == [PAGES[0].url, PAGES[3].url]


async def test_location_and_context_size_as_each_engine_takes_them(up: Upstream, opening: Opening) -> None:
    for engine in ENGINES:
        up.always(engine.answer(), on=engine.path)
        await opening.engine(engine).web_search(WebQuery("q", location=PARIS, context_size="high"), Call())
    brave, tavily, bing, _, keyless = up.requests
    assert brave.query["country"] == "FR"
    assert {name: brave.headers[f"x-loc-{name}"] for name in ("country", "state-name", "city", "timezone")} == {
        "country": "FR",
        "state-name": "%C3%8Ele-de-France",
        "city": "Paris",
        "timezone": "Europe/Paris",
    }
    assert (tavily.body["country"], tavily.body["search_depth"]) == ("france", "advanced")
    assert bing.query["cc"] == "FR"
    assert keyless.query["kl"] == "fr-fr"


@every
async def test_a_place_that_an_engine_does_not_know_is_left_out(engine: Engine, up: Upstream, opening: Opening) -> None:
    up.always(engine.answer(), on=engine.path)
    place = UserLocation("XQ", city="Nowhere\r\nX-Evil: 1")
    assert await opening.engine(engine).web_search(WebQuery("q", location=place), Call())
    assert "x-evil" not in up.last.headers
    sent = up.last.query if engine is not TAVILY else up.last.body
    assert not {"country", "kl"} & set(sent)


# --- keys


@keyed
async def test_the_key_of_a_call_comes_before_the_configured_one(
    engine: Engine, up: Upstream, opening: Opening
) -> None:
    up.always(engine.answer(key="theirs"), on=engine.path)
    assert await opening.engine(engine, api_key="ours").web_search(WebQuery("q"), key_of("theirs", engine))
    assert await opening.engine(engine, api_key=None).web_search(WebQuery("q"), key_of("theirs", engine))
    numeric = engine.answer(key="12345")
    up.always(numeric, on=engine.path)
    assert await opening.engine(engine, api_key=12345).web_search(WebQuery("q"), Call())


@keyed
@pytest.mark.parametrize("key", [None, ""])
async def test_without_a_key_nothing_is_sent(engine: Engine, key: str | None, up: Upstream, opening: Opening) -> None:
    provider = opening.engine(engine, api_key=key)
    raised = await failure(provider)
    assert isinstance(raised, InvalidRequest)
    assert f"{engine.data_key} in X-LlamaStack-Provider-Data" in raised.message
    assert up.requests == []
    assert (await provider.health()).status == HealthStatus.ERROR
    assert (await opening.engine(engine).health()).status == HealthStatus.NOT_IMPLEMENTED


@keyed
async def test_a_refused_key_is_told_and_never_repeated(
    engine: Engine, up: Upstream, opening: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    up.always(engine.answer(key="another"), on=engine.path)
    raised = await failure(opening.engine(engine))
    assert isinstance(raised, ProviderRejectedCredentials)
    up.always(engine.refusal(400, f"The key {KEY} is odd."), on=engine.path)
    odd = await failure(opening.engine(engine))
    assert "The key *** is odd." in odd.message
    assert KEY not in raised.message + odd.message + caplog.text + repr(opening.engine(engine).config)


# --- engines that fail

REFUSALS: list[tuple[int, type[LlamaStackError]]] = [
    (302, ProviderError),
    (400, ProviderError),
    (401, ProviderRejectedCredentials),
    (403, ProviderRejectedCredentials),
    (404, ProviderError),
    (500, ProviderError),
    (503, ProviderError),
    (504, ProviderTimeout),
]


@every
@pytest.mark.parametrize(("status", "kind"), REFUSALS, ids=lambda value: str(value) if isinstance(value, int) else "")
async def test_status_decides_the_error(
    engine: Engine, status: int, kind: type[LlamaStackError], up: Upstream, opening: Opening
) -> None:
    up.always(engine.refusal(status, "You fool."), on=engine.path)
    raised = await failure(opening.engine(engine))
    if engine is SEARXNG and status == 403:
        assert "search.formats" in raised.message
        assert type(raised) is ProviderError
    elif engine is KEYLESS and status in (401, 403):
        assert "refuses searches by programs" in raised.message
        assert type(raised) is RateLimited
    else:
        assert type(raised) is kind
    assert raised.message.startswith("Provider 'mine'")
    assert ("You fool." in raised.message) == (status in (400, 404) and engine is not KEYLESS)


@every
async def test_too_many_searches(engine: Engine, up: Upstream, opening: Opening) -> None:
    up.always(engine.refusal(429, headers={"Retry-After": "7"}), on=engine.path)
    raised = await failure(opening.engine(engine))
    assert type(raised) is RateLimited
    assert raised.retry_after_s == (None if engine is KEYLESS else 7.0)


async def test_a_plan_that_is_used_up(up: Upstream, opening: Opening) -> None:
    up.always(TAVILY.refusal(432), on=TAVILY.path)
    raised = await failure(opening.engine(TAVILY))
    assert type(raised) is RateLimited
    assert "used up" in raised.message


@every
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Wire().body(b"{", "application/json"), ProviderError),
        (Wire().body(b"[1]", "application/json"), ProviderError),
        (Wire().body(b'{"results": 3, "web": {"results": 3}, "webPages": {"value": 3}}', "a/b"), ProviderError),
        (Wire().body(b"\xff\xfe", "application/json"), ProviderError),
        (Wire().body(b"[" * 100_000, "application/json"), ProviderError),
        (Wire().body(b"x" * (9 * 1024 * 1024), "text/html"), ProviderError),
        (Wire(cut_after=1).body(b"{" * 1000, "application/json"), ProviderStreamBroken),
        (Answer(200, {}, (), (Cut(),)), ProviderUnreachable),
    ],
    ids=["half", "list", "numbers", "no text", "deep", "large", "cut", "no head"],
)
async def test_rubbish(
    engine: Engine, answer: Answer, kind: type[LlamaStackError], up: Upstream, opening: Opening
) -> None:
    up.always(answer, on=engine.path)
    assert type(await failure(opening.engine(engine))) is kind


@every
async def test_items_that_are_none_are_passed_over(engine: Engine, up: Upstream, opening: Opening) -> None:
    item = b'{"url": "https://a.example/", "title": null, "content": 7, "extra_snippets": "s"}'
    odd = b'[null, 3, {}, {"url": 3}, %b]' % item
    body = b'{"results": %b, "web": {"results": %b}, "webPages": {"value": %b}}' % (odd, odd, odd)
    if engine is KEYLESS:
        body = b'<html><h2><a>x</a></h2><p>lost</p></h2><a class="result__a" href="https://a.example/"><p></div>'
    up.always(Wire().body(body, engine.content_type), on=engine.path)
    found = await opening.engine(engine).web_search(WebQuery("q"), Call())
    assert found == [WebResult("https://a.example/", "", "")]


@every
async def test_nobody_there_and_no_time_left(engine: Engine, up: Upstream, opening: Opening) -> None:
    up.always(Answer(200, {}, (), (Stall(),)), on=engine.path)
    provider = opening.engine(engine)
    deadline = asyncio.get_running_loop().time() + 0.05
    raised = await failure(provider, Call(deadline=deadline))
    assert isinstance(raised, ProviderTimeout)
    gone = opening.engine(engine, base_url="http://127.0.0.1:9")
    assert isinstance(await failure(gone), ProviderUnreachable)


# --- the page of results


@pytest.mark.parametrize("page", [duckduckgo_lite_page, plain_results_page], ids=["lite", "headings"])
async def test_other_pages_of_results(page: Any, up: Upstream, opening: Opening) -> None:
    up.always(Wire().body(page(PAGES), "text/html"), on=KEYLESS.path)
    found = await opening.engine(KEYLESS).web_search(WebQuery("q"), Call())
    assert [(result.url, result.title, result.text) for result in found] == [
        (page.url, page.title, page.text) for page in PAGES
    ]


@pytest.mark.parametrize("status", [200, 202])
async def test_an_engine_that_asks_for_a_person_is_told_apart_from_one_that_finds_nothing(
    status: int, up: Upstream, opening: Opening
) -> None:
    up.always(Wire().body(challenge_page(), "text/html", status), on=KEYLESS.path)
    raised = await failure(opening.engine(KEYLESS))
    assert type(raised) is RateLimited
    assert "remote::brave-search" in raised.message


async def test_a_page_of_something_else_is_not_taken_for_no_results(up: Upstream, opening: Opening) -> None:
    up.always(Wire().body(b"<html><body><h1>Welcome to nginx!</h1></body></html>", "text/html"), on=KEYLESS.path)
    raised = await failure(opening.engine(KEYLESS))
    assert type(raised) is ProviderError
    assert "not a page of results" in raised.message


async def test_an_address_that_has_a_query_already(up: Upstream, opening: Opening) -> None:
    up.always(KEYLESS.answer(), on=KEYLESS.path)
    await opening.engine(KEYLESS, base_url=f"{up.url}/html/?kp=1").web_search(WebQuery("q"), Call())
    assert up.last.query == {"kp": "1", "q": "q"}


# --- descriptors


def test_every_engine_has_a_case(descriptors: Mapping[str, Descriptor]) -> None:
    searching = {name for name, found in descriptors.items() if hasattr(found.create, "web_search")}
    assert searching == {engine.type for engine in ENGINES}


@every
def test_descriptors(engine: Engine, descriptors: Mapping[str, Descriptor]) -> None:
    found = descriptors[engine.type]
    assert found.module.endswith(found.name.replace("-", "_")), "the catalog looks a type up by its file's name"
    assert found.description.endswith(".")
    assert set(found.sample) <= set(found.config.model_fields)
    assert found.data_keys == ({engine.data_key: "api_key"} if engine.data_key else {})
    if found.turned_on_by is not None:
        assert any(found.turned_on_by in value for value in found.sample.values())
    assert (found.turned_on_by is None) == (engine is KEYLESS)


@every
@pytest.mark.parametrize("config", [{"base_url": "ftp://h"}, {"base_url": "http://u:p@h"}, {"max_results": 0}])
def test_a_config_that_cannot_be_meant(
    engine: Engine, config: dict[str, Any], descriptors: Mapping[str, Descriptor]
) -> None:
    with pytest.raises(ValidationError):
        descriptors[engine.type].config.model_validate(config)


async def test_brave_reads_no_more_of_a_question_than_it_takes(up: Upstream, opening: Opening) -> None:
    up.always(BRAVE.answer(), on=BRAVE.path)
    await opening.engine(BRAVE).web_search(WebQuery("word " * 300, allowed_domains=("paris.example",)), Call())
    sent = up.last.query["q"]
    assert len(sent) <= 400
    assert sent.endswith(" site:paris.example")
