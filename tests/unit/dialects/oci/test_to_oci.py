"""Chat completion requests in the words of Oracle's chat API."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack.dialects.oci.formats import ApiFormat, format_of
from llama_stack.dialects.oci.schemas import plain_schema
from llama_stack.dialects.oci.to_oci import oci_request
from llama_stack_api.errors import InvalidRequest, UnsupportedParameter
from tests.support.oci_upstream import COMPARTMENT
from tests.support.oci_upstream_contract import check_chat

GENERIC, COHERE, COHEREV2 = ApiFormat.GENERIC, ApiFormat.COHERE, ApiFormat.COHEREV2
CALLED: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Weather in Graz and Linz?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Graz"}'}},
            {"id": "b", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Linz"}'}},
        ],
    },
    {"role": "tool", "tool_call_id": "a", "content": "sun"},
    {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "rain"}]},
]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Where."},
                "unit": {"type": "string", "enum": ["C", "F"]},
                "days": {"$ref": "#/$defs/Days"},
            },
            "required": ["city"],
            "$defs": {"Days": {"type": "array", "items": {"type": "integer"}}},
        },
    },
}


def translated(api_format: ApiFormat, **chat: Any) -> dict[str, Any]:
    """The request, which Oracle would take."""
    request = oci_request({"model": "m", **chat}, api_format=api_format)
    served = {"servingType": "ON_DEMAND", "modelId": "m"}
    check_chat({"compartmentId": COMPARTMENT, "servingMode": served, "chatRequest": request})
    return request


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("meta.llama-3.3-70b-instruct", GENERIC),
        ("xai.grok-4", GENERIC),
        ("openai.gpt-oss-120b", GENERIC),
        ("google.gemini-2.5-pro", GENERIC),
        ("ocid1.generativeaiendpoint.oc1..x", GENERIC),
        ("cohere.command-r-plus-08-2024", COHERE),
        ("cohere.command-a-03-2025", COHERE),
        ("cohere.command-latest", COHERE),
        ("cohere.command-a-vision-07-2025", COHEREV2),
        ("cohere.command-a-reasoning-08-2025", COHEREV2),
    ],
)
def test_a_models_name_tells_its_format(model: str, expected: ApiFormat) -> None:
    assert format_of(model) is expected


def test_calls_and_results_in_the_generic_format() -> None:
    messages = translated(GENERIC, messages=CALLED)["messages"]
    assert messages[2] == {
        "role": "ASSISTANT",
        "toolCalls": [
            {"id": "a", "type": "FUNCTION", "name": "weather", "arguments": '{"city": "Graz"}'},
            {"id": "b", "type": "FUNCTION", "name": "weather", "arguments": '{"city": "Linz"}'},
        ],
    }, "an empty content would mislead the model"
    assert messages[4] == {"role": "TOOL", "toolCallId": "b", "content": [{"type": "TEXT", "text": "rain"}]}


def test_googles_models_are_told_one_call_after_the_other() -> None:
    messages = translated(GENERIC, model="google.gemini-2.5-pro", messages=CALLED)["messages"]
    assert [(m["role"], m.get("toolCallId") or [c["id"] for c in m.get("toolCalls", ())]) for m in messages[2:]] == [
        ("ASSISTANT", ["a"]),
        ("TOOL", "a"),
        ("ASSISTANT", ["b"]),
        ("TOOL", "b"),
    ]


def test_calls_and_results_in_coheres_first_format() -> None:
    request = translated(COHERE, messages=CALLED)
    calls = [{"name": "weather", "parameters": {"city": city}} for city in ("Graz", "Linz")]
    assert request["preambleOverride"] == "Be brief."
    assert request["message"] == ""
    assert request["chatHistory"] == [
        {"role": "USER", "message": "Weather in Graz and Linz?"},
        {"role": "CHATBOT", "message": " ", "toolCalls": calls},
    ]
    assert request["toolResults"] == [
        {"call": calls[0], "outputs": [{"output": "sun"}]},
        {"call": calls[1], "outputs": [{"output": "rain"}]},
    ]

    later = translated(
        COHERE,
        messages=[*CALLED, {"role": "assistant", "content": "Sun and rain."}, {"role": "user", "content": "Thanks."}],
    )
    assert later["message"] == "Thanks."
    assert "toolResults" not in later
    assert [entry["role"] for entry in later["chatHistory"]] == ["USER", "CHATBOT", "TOOL", "CHATBOT"]
    assert len(later["chatHistory"][2]["toolResults"]) == 2


def test_calls_in_coheres_second_format() -> None:
    messages = translated(COHEREV2, messages=CALLED)["messages"]
    assert messages[2]["toolCalls"][0] == {
        "id": "a",
        "type": "FUNCTION",
        "function": {"name": "weather", "arguments": '{"city": "Graz"}'},
    }


def test_what_a_type_of_coheres_cannot_say_is_in_the_description() -> None:
    user = [{"role": "user", "content": "?"}]
    (tool,) = translated(COHERE, messages=user, tools=[WEATHER])["tools"]
    assert tool["parameterDefinitions"] == {
        "city": {"type": "str", "description": "Where.", "isRequired": True},
        "unit": {"type": "str", "description": 'JSON Schema: {"enum":["C","F"]}', "isRequired": False},
        "days": {"type": "list", "description": 'JSON Schema: {"items":{"type":"integer"}}', "isRequired": False},
    }
    (tool,) = translated(GENERIC, messages=user, tools=[WEATHER])["tools"]
    assert tool["parameters"]["properties"]["days"] == {"type": "array", "items": {"type": "integer"}}
    assert "$defs" not in tool["parameters"]


def test_a_named_tool_is_the_only_one_that_coheres_second_format_offers() -> None:
    other = {"type": "function", "function": {"name": "other"}}
    choice = {"type": "function", "function": {"name": "weather"}}
    request = translated(
        COHEREV2, messages=[{"role": "user", "content": "?"}], tools=[WEATHER, other], tool_choice=choice
    )
    assert [tool["function"]["name"] for tool in request["tools"]] == ["weather"]
    assert request["toolsChoice"] == "REQUIRED"


def test_schemas_lose_references_and_nulls_but_not_their_meaning() -> None:
    schema = {
        "type": "object",
        "properties": {
            "tree": {"$ref": "#/$defs/Tree"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "Maybe."},
            "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        },
        "$defs": {"Tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree", "description": "Half."}}}},
    }
    assert plain_schema(schema)["properties"] == {
        "tree": {"type": "object", "properties": {"left": {"type": "object", "description": "Half."}}},
        "note": {"type": "string", "description": "Maybe."},
        "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    }


@pytest.mark.parametrize(
    ("api_format", "part", "expected"),
    [
        (GENERIC, "IMAGE", {"url": "https://h/i.png", "detail": "HIGH"}),
        (COHEREV2, "IMAGE_URL", {"url": "https://h/i.png", "detail": "HIGH"}),
    ],
)
def test_images(api_format: ApiFormat, part: str, expected: dict[str, str]) -> None:
    shown = {"type": "image_url", "image_url": {"url": "https://h/i.png", "detail": "high"}}
    user = [{"role": "user", "content": [{"type": "text", "text": "What?"}, shown]}]
    (message,) = translated(api_format, messages=user)["messages"]
    assert message["content"] == [{"type": "TEXT", "text": "What?"}, {"type": part, "imageUrl": expected}]
    with pytest.raises(UnsupportedParameter) as refused:
        translated(COHERE, messages=user)
    assert refused.value.param == "messages[0].content"


def test_a_file_and_a_recording_go_to_models_of_the_generic_format() -> None:
    file = {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}
    (message,) = translated(GENERIC, messages=[{"role": "user", "content": [file, sound]}])["messages"]
    assert message["content"] == [
        {"type": "DOCUMENT", "documentUrl": {"url": "data:application/pdf;base64,AAAA"}},
        {"type": "AUDIO", "audioUrl": {"url": "data:audio/mp3;base64,AAAA"}},
    ]


def test_a_conversation_with_cohere_ends_with_a_question() -> None:
    asked = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    with pytest.raises(InvalidRequest, match="ends with a message of the user"):
        translated(COHERE, messages=asked)
    with pytest.raises(InvalidRequest, match="belongs to no call"):
        translated(COHERE, messages=[{"role": "user", "content": "?"}, {"role": "tool", "tool_call_id": "x"}])
    late = translated(COHERE, messages=[{"role": "user", "content": "?"}, {"role": "system", "content": "Brief."}])
    assert (late["message"], late["chatHistory"]) == ("?", [{"role": "SYSTEM", "message": "Brief."}])


def test_developers_speak_to_openais_models_alone() -> None:
    said = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "?"}]
    assert translated(GENERIC, messages=said)["messages"][0]["role"] == "SYSTEM"
    assert translated(GENERIC, model="openai.gpt-5", messages=said)["messages"][0]["role"] == "DEVELOPER"


@pytest.mark.parametrize("kind", ["custom", "web_search"])
def test_only_functions_are_tools(kind: str) -> None:
    for api_format in ApiFormat:
        with pytest.raises(UnsupportedParameter) as refused:
            translated(api_format, messages=[{"role": "user", "content": "?"}], tools=[{"type": kind}])
        assert refused.value.param == "tools"
