"""What Ollama's own API adds: settings of the engine, what its models can do, fetching them."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from llama_stack.providers._shared.ollama_pulls import Pulling, Pulls
from llama_stack_api.errors import (
    InvalidRequest,
    ModelNotFound,
    ProviderError,
    ProviderStreamBroken,
    UnsupportedParameter,
)
from llama_stack_api.openai.completions import CompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.ports.inference import (
    ModelListing,
    ModelType,
    ProviderModel,
    PullProgress,
    PullsModels,
    TellsTools,
)
from llama_stack_api.principal import SYSTEM_CALL, Call
from llama_stack_api.provider import Descriptor
from tests.providers.remote.bench import Bench, chat, chunks_of
from tests.providers.remote.cases import CASES
from tests.support.ollama_upstream import EMBEDS, TALKS, OllamaUpstream, failure
from tests.support.upstream import WAIT_S, Answer, Say, Wire, text

pytestmark = pytest.mark.anyio
COMPATIBLE = [case for case in CASES if case.name == "ollama"]
NATIVE = [case for case in CASES if case.name == "ollama-native"]
compatible = pytest.mark.parametrize("case", COMPATIBLE, ids=lambda case: case.name)
native = pytest.mark.parametrize("case", NATIVE, ids=lambda case: case.name)


@pytest.fixture
def ollama(bench: Bench) -> OllamaUpstream:
    """The upstream, as freshly installed."""
    assert isinstance(bench.up, OllamaUpstream)
    bench.up.models = {"llama3.2:3b": TALKS, "nomic-embed-text:latest": EMBEDS}
    bench.up.library, bench.up.loaded = {}, []
    return bench.up


def embed(**fields: Any) -> EmbeddingsRequest:
    return EmbeddingsRequest.model_validate({"model": "e-1", "input": ["a", "b"], **fields})


@compatible
@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({}, "/v1/chat/completions"),
        ({"temperature": 1, "reasoning_effort": "low"}, "/v1/chat/completions"),
        ({"keep_alive": None, "x_vendor": 1}, "/v1/chat/completions"),
        ({"keep_alive": "5m"}, "/api/chat"),
        ({"think": "high"}, "/api/chat"),
        ({"num_ctx": 4096}, "/api/chat"),
        ({"options": {"num_ctx": 4096}}, "/api/chat"),
        ({"min_p": 0.1}, "/api/chat"),
    ],
)
async def test_ollamas_own_api_is_asked_where_it_is_needed(
    bench: Bench, ollama: OllamaUpstream, fields: Mapping[str, Any], path: str
) -> None:
    reply = await bench.open().openai_chat_completion(chat(**fields), Call())
    assert bench.sent.path == path
    assert ChatCompletion.model_validate_json(reply.body).choices[0].message.content == "Hello from Ollama."


@native
async def test_thoughts_logprobs_and_the_reason_of_the_end(bench: Bench) -> None:
    bench.says(Say("Ja. Gern.", reasoning="Freundlich sein.", finish_reason="length"))
    fields: dict[str, Any] = {"logprobs": True, "top_logprobs": 2}
    chunks = await chunks_of(bench.open(), **fields)
    assert bench.sent.body["logprobs"] is True
    choices = [choice for chunk in chunks for choice in chunk.choices]
    thoughts = [(choice.delta.model_extra or {}).get("reasoning_content", "") for choice in choices]
    assert "".join(thoughts) == "Freundlich sein. "
    tokens = [token for choice in choices if choice.logprobs for token in choice.logprobs.content or ()]
    assert [token.token for token in tokens] == ["Ja. ", "Gern."]
    assert choices[-1].finish_reason == "length"


@native
async def test_images_go_as_data_only(bench: Bench) -> None:
    bench.says(text("Eine Katze."))

    def seen(url: str) -> list[Any]:
        parts = [{"type": "text", "text": "Was ist das?"}, {"type": "image_url", "image_url": {"url": url}}]
        return [{"role": "user", "content": parts}]

    await bench.open().openai_chat_completion(chat(messages=seen("data:image/png;base64,AAAA")), Call())
    assert bench.sent.body["messages"] == [{"role": "user", "content": "Was ist das?", "images": ["AAAA"]}]
    for url in ("https://example.org/cat.png", "data:image/svg+xml,<svg/>"):
        with pytest.raises(UnsupportedParameter, match="data: URL"):
            await bench.open().openai_chat_completion(chat(messages=seen(url)), Call())


@compatible
async def test_embeddings_by_ollamas_own_api(bench: Bench, ollama: OllamaUpstream) -> None:
    provider = bench.open()
    await provider.openai_embeddings(embed(), Call())
    assert bench.sent.path == "/v1/embeddings"
    fields = {"truncate": False, "dimensions": 4, "keep_alive": 0, "num_ctx": 512}
    reply = (await provider.openai_embeddings(embed(**fields), Call())).decode()
    assert bench.sent.path == "/api/embed"
    assert bench.sent.body == {
        "model": "e-1",
        "input": ["a", "b"],
        "truncate": False,
        "dimensions": 4,
        "keep_alive": 0,
        "options": {"num_ctx": 512},
    }
    assert [len(item.embedding) for item in reply.data] == [4, 4]
    assert reply.usage.prompt_tokens == 6
    as_text = (await provider.openai_embeddings(embed(**fields, encoding_format="base64"), Call())).decode()
    floats = struct.unpack("<4f", base64.b64decode(str(as_text.data[1].embedding)))
    assert list(floats) == pytest.approx(reply.data[1].embedding)


@compatible
async def test_a_model_that_is_not_there_says_how_to_get_it(bench: Bench, ollama: OllamaUpstream) -> None:
    bench.up.always(failure(404, 'model "m-1" not found, try pulling it first'))
    provider = bench.open()
    completion = CompletionRequest.model_validate({"model": "m-1", "prompt": "x"})
    asks: tuple[Callable[[], Awaitable[Any]], ...] = (
        lambda: provider.openai_chat_completion(chat(), Call()),
        lambda: provider.openai_chat_completion(chat(keep_alive=1), Call()),
        lambda: provider.openai_completion(completion, Call()),
        lambda: provider.openai_embeddings(embed(model="m-1"), Call()),
    )
    for ask in asks:
        with pytest.raises(ModelNotFound) as missing:
            await ask()
        assert missing.value.message.endswith("try pulling it first. Pull it: llama stack models pull mine/m-1.")


# Listing


@compatible
async def test_a_proxy_without_ollamas_own_routes_is_listed_by_openais(bench: Bench) -> None:
    with OllamaUpstream(native=False) as proxy:
        provider = bench.open(base_url=proxy.url)
        listed = await provider.list_models(SYSTEM_CALL)
        assert listed == [ProviderModel("llama3.2:3b"), ProviderModel("nomic-embed-text:latest")]
        assert await provider.takes_tools("llama3.2:3b", Call()) is True


@compatible
async def test_what_models_can_do_is_told(bench: Bench, ollama: OllamaUpstream) -> None:
    ollama.models = {
        "plain:1b": {**TALKS, "capabilities": ["completion"], "parameters": "temperature 0.6\nnum_ctx    16384\n"},
        "thinks:8b": {**TALKS, "capabilities": ["completion", "tools", "thinking"]},
        "old:7b": {"details": TALKS["details"], "model_info": TALKS["model_info"]},
        "old-embed:latest": {"details": {"families": ["bert"]}, "model_info": {"bert.context_length": 512}},
    }
    provider = bench.open()
    assert isinstance(provider, TellsTools)
    assert isinstance(provider, ModelListing)
    long = {"context_length": 131072}
    assert await provider.list_models(SYSTEM_CALL) == [
        ProviderModel("plain:1b", ModelType.llm, {"context_length": 16384, "tool_calling": False}),
        ProviderModel("thinks:8b", ModelType.llm, {**long, "tool_calling": True, "thinking": True}),
        ProviderModel("old:7b", ModelType.llm, long),
        ProviderModel("old-embed:latest", ModelType.embedding, {"context_length": 512}),
    ]
    assert [await provider.takes_tools(name, Call()) for name in ("plain:1b", "thinks:8b", "gone")] == [
        False,
        True,
        True,
    ]


@compatible
async def test_one_model_that_cannot_be_shown_hides_no_other(bench: Bench, ollama: OllamaUpstream) -> None:
    bench.up.reply(failure(500, "corrupt blob"), on="/api/show")
    listed = await bench.open().list_models(SYSTEM_CALL)
    assert [model.id for model in listed] == ["llama3.2:3b", "nomic-embed-text:latest"]
    bench.up.always(failure(500, "corrupt blobs"), on="/api/show")
    with pytest.raises(ProviderError, match="corrupt blobs"):
        await bench.open().list_models(SYSTEM_CALL)


# Fetching and loading


@compatible
async def test_a_model_is_pulled_with_its_progress(bench: Bench, ollama: OllamaUpstream) -> None:
    ollama.library = {"qwen3": TALKS}
    provider = bench.open()
    assert isinstance(provider, PullsModels)
    told = [progress async for progress in provider.pull_model("qwen3", Call())]
    assert told[0] == PullProgress("pulling manifest")
    assert [(progress.completed, progress.total) for progress in told[1:5]] == [
        (0, 1000),
        (250, 1000),
        (500, 1000),
        (1000, 1000),
    ]
    assert told[-1].status == "success"
    with pytest.raises(ProviderError, match="file does not exist"):
        [progress async for progress in provider.pull_model("nothing", Call())]


@compatible
@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (b'{"status":"pulling manifest"}\n', "ended before"),
        (b"<html>", "no JSON object"),
        (b'{"status":"x"', "no JSON"),
    ],
)
async def test_a_pull_that_breaks_off_is_no_success(
    bench: Bench, ollama: OllamaUpstream, lines: bytes, says: str
) -> None:
    bench.up.always(Answer(200, {"content-type": "application/x-ndjson"}, [lines]), on="/api/pull")
    with pytest.raises(ProviderStreamBroken, match=says):
        [progress async for progress in bench.open().pull_model("qwen3", Call())]


async def until(true: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        while not true():
            await asyncio.sleep(0.005)


@compatible
async def test_models_are_pulled_and_loaded_at_start(bench: Bench, ollama: OllamaUpstream) -> None:
    ollama.library = {"qwen3": TALKS, "gemma3:1b": TALKS}
    provider = bench.open(
        pull_models=["qwen3", "missing"],
        allowed_models=["llama3.2:3b", "gemma3:1b"],
        pull=True,
        preload_models=["llama3.2:3b", "nomic-embed-text:latest"],
    )
    await provider.open()
    try:
        await until(lambda: any(request.path == "/api/embed" for request in bench.asked))
    finally:
        await provider.close()
    pulled = [request.body["model"] for request in bench.asked if request.path == "/api/pull"]
    assert pulled == ["qwen3", "missing", "gemma3:1b"], (
        "what is there is not pulled, what is not to be had stops no other"
    )
    assert ollama.loaded == ["llama3.2:3b"]


@compatible
async def test_an_ollama_that_comes_up_later_is_waited_for(bench: Bench) -> None:
    late, pauses = OllamaUpstream(), list[float]()
    late.library = {"qwen3": TALKS}
    late.start()
    late.stop()  # the port is known, and nobody listens there
    provider = bench.open(base_url=late.url)

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            late.start()

    pulling = Pulling(provider._names_here, partial(provider.pull_model, call=SYSTEM_CALL), provider._load)
    pulls = Pulls("mine", pulling, sleep=pause)
    try:
        pulls.start(["qwen3"], [])
        await until(lambda: "qwen3:latest" in late.models and not pulls.progress)
    finally:
        await pulls.close()
        late.stop()
    assert pauses == [2.0, 4.0]


@compatible
@pytest.mark.parametrize(
    "shown", [{"capabilities": "all", "model_info": []}, {"details": [], "parameters": 5}, {"details": {"families": 1}}]
)
async def test_a_model_of_which_nonsense_is_told_is_listed(
    bench: Bench, ollama: OllamaUpstream, shown: dict[str, Any]
) -> None:
    bench.up.always(Wire().json(shown), on="/api/show")
    assert [model.id for model in await bench.open().list_models(SYSTEM_CALL)] == list(ollama.models)


@compatible
async def test_a_start_waits_for_no_model(bench: Bench, ollama: OllamaUpstream) -> None:
    bench.up.always(Wire(stall_after=0).json({}), on="/api/pull")
    provider = bench.open(pull_models=["qwen3"])
    await provider.open()
    await until(lambda: any(request.path == "/api/pull" for request in bench.asked))
    await provider.close()
    await bench.sent.wait_hung_up()


@compatible
async def test_a_model_on_its_way_is_said_to_be(bench: Bench, ollama: OllamaUpstream) -> None:
    part = b'{"status":"pulling abc","digest":"sha256:abc","total":200,"completed":86}\n'
    stalling = Wire(stall_after=0).json({})
    bench.up.always(Answer(200, {"content-type": "application/x-ndjson"}, [part, *stalling.parts]), on="/api/pull")
    bench.up.always(failure(404, "model 'm-1' not found"), on="/v1/chat/completions")
    provider = bench.open(pull_models=["m-1"])
    await provider.open()
    try:
        await until(lambda: provider._pulls.progress.get("m-1") == 43)
        with pytest.raises(ModelNotFound, match=r"being pulled \(43 %"):
            await provider.openai_chat_completion(chat(), Call())
    finally:
        await provider.close()


@pytest.mark.parametrize(("said", "meant"), [("300", 300), ("-1", -1), (0, 0), ("10m", "10m")])
def test_seconds_from_the_environment_are_a_number(
    said: Any, meant: int | str, descriptors: dict[str, Descriptor]
) -> None:
    config: Any = descriptors["remote::ollama"].config.model_validate({"keep_alive": said})
    assert config.keep_alive == meant


@pytest.mark.parametrize(
    ("said", "refreshed"),
    [
        ({}, False),
        ({"pull": True}, True),
        ({"pull_models": ["q"]}, True),
        ({"pull": True, "refresh_models": False}, False),
    ],
)
def test_a_list_that_grows_is_read_again(
    said: dict[str, Any], refreshed: bool, descriptors: dict[str, Descriptor]
) -> None:
    config: Any = descriptors["remote::ollama"].config.model_validate(said)
    assert config.refresh_models is refreshed


@compatible
async def test_what_ollama_refuses_of_options_reaches_the_caller(bench: Bench, ollama: OllamaUpstream) -> None:
    with pytest.raises(InvalidRequest, match="num_gpu"):
        await bench.open().openai_chat_completion(chat(options={"num_gpu": "all"}), Call())
