"""`tools`, `tool_choice` and `web_search_options` of a chat completion request as `tools` and `toolConfig`.

A function's parameters go as `parametersJsonSchema`, untouched: the older `parameters` holds a subset of OpenAPI, and
what that cannot say (`$ref`, `additionalProperties`, `const`, …) would have to be dropped.

    tool_choice                     functionCallingConfig
    none                            NONE
    auto                            AUTO, or VALIDATED where a function is `strict`: calls then keep to their schemas
    required                        ANY
    a function                      ANY, with that name allowed
    allowed_tools, auto / required  VALIDATED / ANY, with those names allowed

Google's own tools stand beside functions, as `{"type": "google_search"}`, with their settings under the same name.
"""

from __future__ import annotations

from typing import Any, Final

from llama_stack.dialects.chat.requests import name_of
from llama_stack.dialects.chat.values import Json, mapping, objects, without_nulls
from llama_stack_api.errors import UnsupportedParameter

GOOGLES: Final = {
    "google_search": "googleSearch",
    "google_maps": "googleMaps",
    "url_context": "urlContext",
    "code_execution": "codeExecution",
    "file_search": "fileSearch",
    "enterprise_web_search": "enterpriseWebSearch",
}
_SEARCH_ASKS_NOTHING: Final = {"search_context_size": "medium", "user_location": None}


def tool_members(chat: Json) -> Json:
    """The members `tools` and `toolConfig`, as far as there are tools."""
    functions = [mapping(tool.get("function")) for tool in objects(chat.get("tools")) if tool.get("type") == "function"]
    others = [_googles(tool) for tool in objects(chat.get("tools")) if tool.get("type") != "function"]
    others += _search(chat.get("web_search_options"))
    tools = [{"functionDeclarations": [_declaration(function) for function in functions]}] if functions else []
    members: Json = {"tools": [*tools, *others]} if tools or others else {}
    config = _calling(chat.get("tool_choice"), functions) if functions else None
    return {**members, "toolConfig": {"functionCallingConfig": config}} if config else members


def _declaration(function: Json) -> Json:
    return without_nulls({
        "name": function.get("name"),
        "description": function.get("description"),
        "parametersJsonSchema": function.get("parameters"),
    })  # fmt: skip


def _googles(tool: Json) -> Json:
    kind = tool.get("type")
    if kind not in GOOGLES:
        raise UnsupportedParameter(
            f"Gemini's models take no tools of type {kind!r}. Give functions, or one of {', '.join(GOOGLES)}.",
            param="tools",
        )
    return {GOOGLES[kind]: mapping(tool.get(kind))}


def _search(options: Any) -> list[Json]:
    if options is None:
        return []
    asked = [name for name, value in mapping(options).items() if value != _SEARCH_ASKS_NOTHING.get(name)]
    if asked and any(options[name] is not None for name in asked):
        raise UnsupportedParameter(
            f"Google's search has no '{asked[0]}': give 'web_search_options' without it.", param="web_search_options"
        )
    return [{"googleSearch": {}}]


def _calling(choice: Any, functions: list[Json]) -> Json | None:
    strict = any(function.get("strict") for function in functions)
    match choice:
        case None | "auto":
            return {"mode": "VALIDATED"} if strict else None
        case "none":
            return {"mode": "NONE"}
        case "required":
            return {"mode": "ANY"}
        case {"type": "function"}:
            return {"mode": "ANY", "allowedFunctionNames": [name_of(choice)]}
        case {"type": "allowed_tools"}:
            allowed = mapping(choice.get("allowed_tools")) or choice
            mode = "ANY" if allowed.get("mode") == "required" else "VALIDATED"
            return {"mode": mode, "allowedFunctionNames": [name_of(tool) for tool in objects(allowed.get("tools"))]}
    raise UnsupportedParameter(f"Gemini's models take no 'tool_choice' such as {choice!r}.", param="tool_choice")
