"""Amazon Bedrock: addresses, signatures, credentials, and messages in AWS's own stream of events."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from pydantic import SecretStr, ValidationError

from llama_stack.providers.inference.bedrock import BedrockConfig
from llama_stack_api.anthropic.messages import CountTokensRequest, CreateMessageRequest
from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    NotImplementedByProvider,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderStreamBroken,
    ProviderTimeout,
    RateLimited,
)
from llama_stack_api.ports.inference import ProviderModel
from llama_stack_api.principal import SYSTEM_CALL, Call
from llama_stack_api.provider import Descriptor
from tests.providers.remote.bench import Bench, chat, on_bench
from tests.providers.remote.cases import CASES
from tests.support.anthropic_upstream import MessagesWire, says, thought, tool_use
from tests.support.anthropic_upstream_bedrock import BedrockUpstream, Listed, aws_message, on_bedrock, refusal
from tests.support.upstream import Upstream
from tests.support.upstream_wire import Answer, Wire

pytestmark = pytest.mark.anyio
CASE = next(case for case in CASES if case.name == "bedrock")
CLAUDE = "us.anthropic.claude-sonnet-5-20260101-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2"
KEYS = {"api_key": None, "aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG"}
BETA = Call(forward_headers={"anthropic-beta": "context-1m-2025-08-07, x-1", "anthropic-version": "2023-06-01"})


@pytest.fixture
async def bench(
    bedrock: BedrockUpstream, descriptors: dict[str, Descriptor], tmp_path: Path, nobody_at_aws: None
) -> AsyncIterator[Bench]:
    async with on_bench(CASE, bedrock, descriptors, tmp_path) as bench:
        yield bench


def request(**members: Any) -> CreateMessageRequest:
    fields = {"model": CLAUDE, "max_tokens": 64, "messages": [{"role": "user", "content": "?"}], **members}
    return CreateMessageRequest.model_validate(fields)


async def read(stream: Any) -> list[dict[str, Any]]:
    """The events, each held to the form of a server-sent one."""
    try:
        body = b"".join([data async for data in stream])
    finally:
        await stream.aclose()
    assert body.endswith(b"\n\n")
    events = [event.split("\n") for event in body.decode().removesuffix("\n\n").split("\n\n")]
    decoded = [json.loads(data.removeprefix("data: ")) for _, data in events]
    assert [name for name, _ in events] == [f"event: {event['type']}" for event in decoded]
    return decoded


@pytest.mark.parametrize("model", [CLAUDE, PROFILE, "anthropic.claude-3-haiku-20240307-v1:0"])
async def test_requests_are_signed_as_they_are_sent(bench: Bench, model: str) -> None:
    provider = bench.open(**KEYS)
    reply = await provider.anthropic_messages(
        request(model=model, messages=[{"role": "user", "content": "wörld"}]), BETA
    )
    assert reply.decode().content[0].text == "Hello from Bedrock."
    assert bench.sent.headers[":path"] == f"/model/{model.replace('/', '%2F')}/invoke"
    assert bench.sent.body == {
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "wörld"}],
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["context-1m-2025-08-07", "x-1"],
    }
    await provider.list_models(SYSTEM_CALL)
    assert bench.sent.headers[":query"] == "maxResults=1000"


async def test_a_session_has_its_token_in_the_signature(bench: Bench) -> None:
    await bench.open(**KEYS, aws_session_token="t0ken").anthropic_messages(request(), Call())
    assert bench.sent.headers["x-amz-security-token"] == "t0ken"
    assert "x-amz-security-token" in bench.sent.headers["authorization"].partition("SignedHeaders=")[2]


async def test_a_wrong_secret_is_refused_credentials(bench: Bench) -> None:
    provider = bench.open(**{**KEYS, "aws_secret_access_key": "wrong"})
    with pytest.raises(ProviderRejectedCredentials) as refused:
        await provider.anthropic_messages(request(), Call())
    assert refused.value.upstream_status == 403
    assert "wrong" not in repr(provider.config)


async def test_an_api_key_goes_before_a_signature_and_the_calls_own_before_both(bench: Bench) -> None:
    await bench.open(**{**KEYS, "api_key": "sk-bedrock"}).anthropic_messages(request(), Call())
    assert bench.sent.headers["authorization"] == "Bearer sk-bedrock"
    theirs = Call(provider_data={"aws_bearer_token_bedrock": SecretStr("sk-bedrock")})
    await bench.open(**KEYS).anthropic_messages(request(), theirs)
    assert bench.sent.headers["authorization"] == "Bearer sk-bedrock"


async def test_credentials_of_the_environment_and_of_a_profile(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[team]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    await bench.open(api_key=None, profile_name="team").anthropic_messages(request(), Call())
    with pytest.raises(ProviderRejectedCredentials, match="profile_name"):
        await bench.open(api_key=None, profile_name="nobody").anthropic_messages(request(), Call())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")
    await bench.open(api_key=None).anthropic_messages(request(), Call())
    assert len(bench.asked) == 2


ASSUMED = """<{0}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{0}Result>
<Credentials><AccessKeyId>AKIDEXAMPLE</AccessKeyId><SecretAccessKey>wJalrXUtnFEMI/K7MDENG</SecretAccessKey>
<SessionToken>of-the-role</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
<AssumedRoleUser><AssumedRoleId>a:b</AssumedRoleId><Arn>arn:aws:sts::1:assumed-role/r/llama-stack</Arn></AssumedRoleUser>
</{0}Result></{0}Response>"""


@pytest.mark.parametrize("operation", ["AssumeRole", "AssumeRoleWithWebIdentity"])
async def test_a_role_is_assumed_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, operation: str
) -> None:
    config: dict[str, Any] = {"aws_role_arn": "arn:aws:iam::123456789012:role/llama"}
    if operation == "AssumeRole":
        config |= {"aws_access_key_id": "AKIDOTHER", "aws_secret_access_key": "other"}
    else:
        (tmp_path / "token").write_text("a.b.c")
        config["aws_web_identity_token_file"] = str(tmp_path / "token")
    with Upstream() as sts:
        sts.always(Wire().body(ASSUMED.format(operation).encode(), "text/xml"))
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        provider = bench.open(api_key=None, **config)
        for _ in range(2):
            await provider.anthropic_messages(request(), Call())
            assert bench.sent.headers["x-amz-security-token"] == "of-the-role"
        (asked,) = sts.requests
        said = dict(parse_qsl(asked.raw.decode()))
        assert (said["Action"], said["RoleArn"], said["RoleSessionName"]) == (
            operation,
            "arn:aws:iam::123456789012:role/llama",
            "llama-stack",
        )
        assert said.get("WebIdentityToken") == (None if operation == "AssumeRole" else "a.b.c")


@pytest.mark.parametrize(
    ("config", "says_so"),
    [
        ({"aws_access_key_id": "A"}, "go together"),
        ({"region_name": "evil.example/"}, "region_name"),
        ({"aws_web_identity_token_file": "/t"}, "aws_role_arn"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_the_start(config: dict[str, Any], says_so: str) -> None:
    with pytest.raises(ValidationError, match=says_so):
        BedrockConfig.model_validate(config)


async def test_addresses_are_those_of_the_region(bench: Bench) -> None:
    provider = bench.open(base_url=None, region_name="eu-central-1")
    assert provider.message_url(CLAUDE, Call(), stream=True) == (
        f"https://bedrock-runtime.eu-central-1.amazonaws.com/model/{CLAUDE}/invoke-with-response-stream"
    )


@pytest.mark.parametrize("split_bytes", [None, 1, 13])
async def test_a_stream_is_anthropics_events(bench: Bench, split_bytes: int | None) -> None:
    said = says(thought("Hm."), "Ich heiße Ada.", tool_use("f", {"a": 1}), wire=MessagesWire(split_bytes=split_bytes))
    bench.up.always(on_bedrock(said))
    stream = await bench.open(**KEYS).anthropic_messages(request(stream=True), Call())
    assert await read(stream) == list(said.events(CLAUDE))
    assert bench.sent.path.endswith("/invoke-with-response-stream")
    assert "stream" not in bench.sent.body


@pytest.mark.parametrize(
    ("exception", "kind"),
    [
        ("throttlingException", RateLimited),
        ("validationException", InvalidRequest),
        ("modelTimeoutException", ProviderTimeout),
        ("internalServerException", ProviderError),
        ("somethingNewException", ProviderStreamBroken),
    ],
)
async def test_an_exception_ends_a_stream_as_what_it_says(
    bench: Bench, exception: str, kind: type[LlamaStackError]
) -> None:
    wire = MessagesWire(inject=(3, {"exception": exception, "message": "The llama is tired."}))
    bench.up.always(on_bedrock(says("one two", wire=wire)))
    with pytest.raises(kind):
        await read(await bench.open(**KEYS).anthropic_messages(request(stream=True), Call()))


FRAME = aws_message({":message-type": "event", ":event-type": "chunk"}, b'{"bytes": "e30="}')
RUBBISH = {
    "a wrong checksum": FRAME[:-1] + bytes([FRAME[-1] ^ 1]),
    "a wrong head": b"\0" + FRAME,
    "an event in pieces": FRAME[:20],
    "no event stream": b"<html>Bad gateway</html>",
    "no event of Anthropic's": FRAME,
    "no base64": aws_message({":message-type": "event", ":event-type": "chunk"}, b'{"bytes": "?"}'),
    "an error": aws_message({":message-type": "error", ":error-message": "Lost."}, b""),
}


@pytest.mark.parametrize("body", RUBBISH.values(), ids=RUBBISH)
async def test_a_broken_stream_is_an_error(bench: Bench, body: bytes) -> None:
    bench.up.always(Answer(200, {"content-type": "application/vnd.amazon.eventstream"}, [body]))
    with pytest.raises(ProviderStreamBroken):
        await read(await bench.open(**KEYS).anthropic_messages(request(stream=True), Call()))


async def test_events_that_are_new_are_passed_over(bench: Bench) -> None:
    data = base64.b64encode(b'{"type":"message_stop"}').decode()
    chunk = json.dumps({"bytes": data}).encode()
    frames = [
        aws_message({":message-type": "event", ":event-type": "metadata"}, b"{}"),
        aws_message({":message-type": "event", ":event-type": "chunk"}, chunk),
    ]
    bench.up.always(Answer(200, {"content-type": "application/vnd.amazon.eventstream"}, frames))
    stream = await bench.open(**KEYS).anthropic_messages(request(stream=True), Call())
    assert await read(stream) == [{"type": "message_stop"}]


async def test_tokens_are_counted_of_the_model_behind_a_profile(bench: Bench) -> None:
    params = CountTokensRequest.model_validate({"model": CLAUDE, "messages": [{"role": "user", "content": "?"}]})
    assert await bench.open(**KEYS).anthropic_count_tokens(params, BETA) == 17
    assert bench.sent.path == "/model/anthropic.claude-sonnet-5-20260101-v1:0/count-tokens"
    counted = json.loads(base64.b64decode(bench.sent.body["input"]["invokeModel"]["body"]))
    assert counted["messages"] == [{"role": "user", "content": "?"}]


async def test_only_what_runs_at_anthropic_is_left_to_this_server(bench: Bench) -> None:
    provider = bench.open(**KEYS)
    assert not provider.runs_server_tools
    for members in (
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"mcp_servers": [{"type": "url", "name": "m", "url": "https://example.org/mcp"}]},
        {"model": "meta.llama4-v1:0"},
    ):
        with pytest.raises(NotImplementedByProvider):
            await provider.anthropic_messages(request(**members), Call())
    assert bench.up.requests == []
    await provider.anthropic_messages(request(tools=[{"type": "bash_20250124", "name": "bash"}]), Call())
    assert bench.sent.body["tools"] == [{"type": "bash_20250124", "name": "bash"}]


async def test_refusals_are_told_in_their_words(bench: Bench) -> None:
    bench.up.always(refusal(400, "The provided model identifier is invalid.", "ValidationException"), on="/invoke")
    with pytest.raises(InvalidRequest, match="identifier is invalid"):
        await bench.open(**KEYS).anthropic_messages(request(), Call())
    bench.up.always(refusal(429, "Too many requests, please wait.", "ThrottlingException"), on="/invoke")
    with pytest.raises(RateLimited, match="please wait"):
        await bench.open(**KEYS).openai_chat_completion(chat(), Call())


async def test_models_are_listed_or_named(bench: Bench) -> None:
    bench.up.always(Listed([{"modelId": "anthropic.claude-1", "inferenceTypesSupported": []}]), on="/foundation-models")
    bench.up.always(Listed([], [CLAUDE]), on="/inference-profiles")
    assert await bench.open(**KEYS).list_models(SYSTEM_CALL) == [ProviderModel(CLAUDE)]
    bench.up.requests.clear()
    named = await bench.open(**KEYS, allowed_models=[PROFILE]).list_models(SYSTEM_CALL)
    assert named == [ProviderModel(PROFILE)]
    assert bench.up.requests == []
