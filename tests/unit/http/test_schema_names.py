"""The names of types in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from llama_stack.http.schema_names import rename_schemas


def test_an_api_stands_where_a_module_did_and_references_follow() -> None:
    chat, claude, other = (
        "llama_stack_api__openai__chat_tools__OtherTool",
        "llama_stack_api__anthropic__tools__OtherTool",
        "some_package__OtherTool",
    )
    document = {
        "paths": {"/x": {"oneOf": [{"$ref": f"#/components/schemas/{chat}"}, {"$ref": "#/components/schemas/Plain"}]}},
        "components": {
            "schemas": {
                chat: {"title": "OtherTool"},
                claude: {"discriminator": {"mapping": {"a": f"#/components/schemas/{chat}"}}},
                other: {},
                "Plain": {"items": {"$ref": f"#/components/schemas/{claude}"}},
            }
        },
    }
    rename_schemas(document)
    assert document == {
        "paths": {
            "/x": {"oneOf": [{"$ref": "#/components/schemas/ChatOtherTool"}, {"$ref": "#/components/schemas/Plain"}]}
        },
        "components": {
            "schemas": {
                "ChatOtherTool": {"title": "OtherTool"},
                "AnthropicOtherTool": {"discriminator": {"mapping": {"a": "#/components/schemas/ChatOtherTool"}}},
                other: {},
                "Plain": {"items": {"$ref": "#/components/schemas/AnthropicOtherTool"}},
            }
        },
    }


def test_a_name_that_is_taken_is_left_long() -> None:
    long = "llama_stack_api__openai__errors__ErrorResponse"
    document: dict[str, Any] = {"components": {"schemas": {long: {}, "ErrorResponse": {}}}}
    rename_schemas(document)
    assert set(document["components"]["schemas"]) == {long, "ErrorResponse"}
