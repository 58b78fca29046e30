"""The type of a parameter, as data."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from llama_stack_api.base import WireModel


class StringType(WireModel):
    type: Literal["string"] = "string"


class NumberType(WireModel):
    type: Literal["number"] = "number"


class BooleanType(WireModel):
    type: Literal["boolean"] = "boolean"


class ArrayType(WireModel):
    type: Literal["array"] = "array"


class ObjectType(WireModel):
    type: Literal["object"] = "object"


class JsonType(WireModel):
    type: Literal["json"] = "json"


class UnionType(WireModel):
    type: Literal["union"] = "union"


class ChatCompletionInputType(WireModel):
    type: Literal["chat_completion_input"] = "chat_completion_input"


class CompletionInputType(WireModel):
    type: Literal["completion_input"] = "completion_input"


ParamType: TypeAlias = Annotated[
    StringType
    | NumberType
    | BooleanType
    | ArrayType
    | ObjectType
    | JsonType
    | UnionType
    | ChatCompletionInputType
    | CompletionInputType,
    Field(discriminator="type"),
]
