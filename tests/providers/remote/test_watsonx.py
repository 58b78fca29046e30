"""IBM watsonx.ai: deployments, Cloud Pak for Data, and its errors. (Tokens of IAM: see test_specials.py.)"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from llama_stack_api.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    LlamaStackError,
    ModelNotFound,
    ProviderError,
    ProviderRejectedCredentials,
    RateLimited,
)
from llama_stack_api.principal import Call
from tests.providers.remote.bench import Bench, chat, chunks_of
from tests.providers.remote.case import KEY, TOOLS
from tests.providers.remote.cases import CASES
from tests.support.upstream import Answer, Wire, error, text

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("case", [case for case in CASES if case.name == "watsonx"], ids=["watsonx"]),
]
AUTHORIZE = "/icp4d-api/v1/authorize"


def refusal(status: int, code: str, message: str, **more: Any) -> Answer:
    return Wire().json({"errors": [{"code": code, "message": message, **more}], "trace": "t-77"}, status)


async def failure(bench: Bench, reply: Answer) -> LlamaStackError:
    bench.up.always(reply, on="/text/chat")
    with pytest.raises(LlamaStackError) as raised:
        await bench.open().openai_chat_completion(chat(), Call())
    return raised.value


ERRORS: list[tuple[int, str, str, type[LlamaStackError]]] = [
    (403, "token_quota_reached", "This tool instance has used up its tokens.", RateLimited),
    (429, "rate_limit_reached_requests", "Too many requests.", RateLimited),
    (403, "authorization_rejected", "Not yours.", ProviderRejectedCredentials),
    (404, "model_not_supported", "Model 'm-1' is not supported.", ModelNotFound),
    (400, "model_not_supported", "Model 'm-1' is not supported.", ModelNotFound),
    (400, "model_no_support_for_function", "Model 'm-1' has no text_chat.", InvalidRequest),
    (
        400,
        "invalid_input_argument",
        "the number of input tokens 9001 cannot exceed the total tokens limit 8192 for this model",
        ContextLengthExceeded,
    ),
    (500, "downstream_request_failed", "Downstream failed.", ProviderError),
]


@pytest.mark.parametrize(("status", "code", "message", "kind"), ERRORS, ids=[f"{row[0]}-{row[1]}" for row in ERRORS])
async def test_codes_decide_where_the_status_misleads(
    bench: Bench, status: int, code: str, message: str, kind: type[LlamaStackError]
) -> None:
    raised = await failure(bench, refusal(status, code, message, more_info="https://cloud.ibm.com"))
    assert type(raised) is kind
    if kind is not ProviderRejectedCredentials:
        assert message in raised.message
        assert "(trace: t-77)" in raised.message


async def test_a_deployment_is_called_by_its_address(bench: Bench) -> None:
    bench.says(text("From a deployment."))
    provider = bench.open(project_id=None)
    model = "deployments/my chat"
    reply = await provider.openai_chat_completion(chat(model=model), Call())
    assert reply.decode().choices[0].message.content == "From a deployment."
    assert bench.sent.path == "/ml/v1/deployments/my chat/text/chat"
    assert bench.sent.query == {"version": "2025-02-11"}
    assert bench.sent.body.keys() & {"model_id", "model", "project_id", "space_id"} == set()
    chunks = await chunks_of(provider, model=model)
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "From a deployment."
    assert bench.sent.path == "/ml/v1/deployments/my chat/text/chat_stream"


async def test_cloud_pak_exchanges_a_users_key(bench: Bench) -> None:
    bench.says(text("ok"))
    bench.up.always(Wire().json({"_messageCode_": "200", "message": "Success", "token": "cpd-token"}), on=AUTHORIZE)
    provider = bench.open(username="ada")
    for _ in range(2):
        await provider.openai_chat_completion(chat(), Call())
    (exchanged,) = [request for request in bench.up.requests if request.path == AUTHORIZE]
    assert exchanged.body == {"username": "ada", "api_key": KEY}
    assert bench.sent.headers["authorization"] == "Bearer cpd-token"

    await bench.open(username="ada", api_key=None, password="s3cret-word").openai_chat_completion(chat(), Call())
    exchanged = next(request for request in reversed(bench.up.requests) if request.path == AUTHORIZE)
    assert exchanged.body == {"username": "ada", "password": "s3cret-word"}


async def test_cloud_pak_that_refuses_a_user(bench: Bench) -> None:
    said = {"_messageCode_": "401", "message": f"Wrong key {KEY}."}
    bench.up.always(Wire().json(said, 401), on=AUTHORIZE)
    with pytest.raises(ProviderRejectedCredentials) as refused:
        await bench.open(username="ada").openai_chat_completion(chat(), Call())
    assert KEY not in refused.value.message
    bench.up.always(Wire().json({"message": "Success"}), on=AUTHORIZE)
    with pytest.raises(ProviderError, match="without a token"):
        await bench.open(username="ada").openai_chat_completion(chat(), Call())


async def test_schemas_tools_and_its_own_members_arrive(bench: Bench) -> None:
    bench.says(text("{}"))
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": True}}
    named = {"type": "function", "function": {"name": "f"}}
    own = {"guided_choice": ["yes", "no"], "time_limit": 2000, "include_reasoning": True, "repetition_penalty": 1.1}
    await bench.open().openai_chat_completion(
        chat(response_format=form, tools=TOOLS, tool_choice=named, reasoning_effort="low", **own), Call()
    )
    sent = bench.sent.body
    assert (sent["response_format"], sent["tools"], sent["tool_choice"]) == (form, TOOLS, named)
    assert "tool_choice_option" not in sent
    assert sent["reasoning_effort"] == "low"
    assert {name: sent[name] for name in own} == own


async def test_a_token_that_was_revoked_is_fetched_anew_for_every_caller(bench: Bench) -> None:
    bench.says(text("ok"))
    provider = bench.open()
    call = Call(provider_data={"watsonx_api_key": SecretStr("key-of-the-client")})
    for who in (Call(), call):
        await provider.openai_chat_completion(chat(), who)
    bench.up.reply(error(401, "revoked", shape="listed"), on="/text/chat")
    with pytest.raises(ProviderRejectedCredentials):
        await provider.openai_chat_completion(chat(), call)
    await provider.openai_chat_completion(chat(), call)
    exchanged = [request.raw for request in bench.up.requests if request.path == "/identity/token"]
    assert [b"key-of-the-client" in body for body in exchanged] == [False, True, True]
