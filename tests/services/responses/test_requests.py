"""What is refused before there is a run, what may not be stored, and which requests are the same."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from llama_stack.agent.turn import ServerSecrets, TurnSecrets, server_key
from llama_stack.config.responses import AgentLimits
from llama_stack.services.responses.checks import check
from llama_stack.services.responses.drafts import digest_of
from llama_stack.services.responses.secrets import secrets_of
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.openai.responses.request import ResponseRequest
from llama_stack_api.principal import Call


def request(**fields: Any) -> ResponseRequest:
    return ResponseRequest.model_validate({"model": "m", "input": "Hello", **fields})


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": []}, "input", "missing_required_parameter"),
        (
            {"conversation": "conv_1", "previous_response_id": "resp_1"},
            "previous_response_id",
            "mutually_exclusive_parameters",
        ),
        ({"background": True, "store": False}, "background", "invalid_value"),
        ({"stream_options": {"include_obfuscation": False}}, "stream_options", "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"tool_choice": "always", "tools": [{"type": "hologram"}]}, "tool_choice", "invalid_value"),
        ({"max_infer_iters": 101}, "max_infer_iters", "invalid_value"),
        ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice", "invalid_value"),
        ({"moderation": {"model": "m"}}, "moderation", "unsupported_parameter"),
    ],
)
def test_contradictions_are_refused_by_name(fields: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        check(request(**fields), AgentLimits())
    assert (raised.value.param, raised.value.code) == (param, code)


@pytest.mark.parametrize(
    "fields",
    [
        {"input": None, "previous_response_id": "resp_1"},
        {"input": None, "conversation": {"id": "conv_1"}},
        {"input": None, "prompt": {"id": "pmpt_1"}},
        {"input": [], "instructions": "Greet."},
        {"max_infer_iters": 100},
        {"background": True, "stream": True},
        {"stream": True, "stream_options": {"include_obfuscation": True}},
        {"tool_choice": "none"},
        {"tool_choice": "required", "tools": [{"type": "hologram"}]},
        {"tool_choice": "required", "input": [{"type": "additional_tools", "tools": []}]},
        {"include": ["something.new"]},
    ],
)
def test_what_makes_sense_passes(fields: dict[str, Any]) -> None:
    check(request(**fields), AgentLimits())


def test_secrets_are_taken_out() -> None:
    tools: list[dict[str, Any]] = [
        {"type": "function", "name": "f", "headers": "mine"},
        {"type": "mcp", "server_label": "a", "authorization": "token", "headers": {"X-Key": "k"}},
        {"type": "mcp", "server_label": "b", "headers": None},
        {"type": "shell", "environment": {"network_policy": {"type": "allowlist", "domain_secrets": [{"value": "s"}]}}},
    ]
    items = [
        {
            "type": "additional_tools",
            "id": "at_1",
            "tools": [{"type": "mcp", "server_label": "c", "authorization": "t"}],
        }
    ]
    call = Call(
        provider_data={"openai_api_key": SecretStr("sk")}, forward_headers={"x-user": "ann", "user-agent": "curl"}
    )
    secrets = secrets_of(call, tools, items, {"x-user", "x-absent"})
    assert secrets == TurnSecrets(
        provider_data={"openai_api_key": "sk"},
        forward_headers={"x-user": "ann"},
        servers={
            server_key(tools[1]): ServerSecrets(authorization="token", headers={"X-Key": "k"}),
            server_key({"server_label": "c"}): ServerSecrets(authorization="t"),
        },
    )
    assert tools[0] == {"type": "function", "name": "f", "headers": "mine"}
    assert tools[1:3] == [{"type": "mcp", "server_label": "a"}, {"type": "mcp", "server_label": "b"}]
    assert tools[3]["environment"] == {"network_policy": {"type": "allowlist"}}
    assert items[0]["tools"] == [{"type": "mcp", "server_label": "c"}]


def test_requests_are_the_same_however_their_answer_is_delivered() -> None:
    same = [
        request(stream=True, stream_options={"include_obfuscation": False}),
        request(stream=False),
        request(temperature=None),
        ResponseRequest.model_validate({"input": "Hello", "model": "m"}),
    ]
    assert {digest_of(each) for each in same} == {digest_of(request())}
    assert digest_of(request(temperature=0.5)) != digest_of(request())
    assert digest_of(request(unknown=[1])) != digest_of(request())


def test_many_items_and_tools_are_refused() -> None:
    limits = AgentLimits(input_items_max=2, tools_max=3)
    items = [{"role": "user", "content": "Hi"}] * 3
    functions = [{"type": "function", "name": f"f{number}"} for number in range(4)]
    spaces = [{"type": "namespace", "name": "n", "description": "", "tools": functions[:3]}]
    bring = [{"type": "additional_tools", "role": "developer", "tools": functions[:2]}]
    for fields, setting in (
        ({"input": items}, "input_items_max"),
        ({"tools": functions}, "tools_max"),
        ({"tools": spaces}, "tools_max"),
        ({"input": bring, "tools": functions[2:]}, "tools_max"),
    ):
        with pytest.raises(InvalidRequest, match=rf"server\.responses\.{setting}"):
            check(request(**fields), limits)
    check(request(input=items[:2], tools=functions[:3]), limits)
