"""What Oracle's chat API takes, member by member; anything else is a violation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_EVERY = {"apiFormat", "isStream", "streamOptions", "maxTokens", "temperature", "topK", "topP", "frequencyPenalty",
          "presencePenalty", "seed", "responseFormat", "tools", "isEcho"}  # fmt: skip
MEMBERS: Mapping[str, set[str]] = {
    "GENERIC": _EVERY | {
        "messages", "metadata", "numGenerations", "stop", "logProbs", "maxCompletionTokens", "logitBias", "prediction",
        "toolChoice", "isParallelToolCalls", "webSearchOptions", "reasoningEffort", "verbosity", "serviceTier",
    },
    "COHERE": _EVERY | {
        "message", "chatHistory", "documents", "isSearchQueriesOnly", "preambleOverride", "maxInputTokens",
        "toolResults", "isForceSingleStep", "stopSequences", "isRawPrompting", "promptTruncation", "citationQuality",
        "safetyMode",
    },
    "COHEREV2": _EVERY | {
        "messages", "documents", "citationOptions", "isStrictToolsEnabled", "isLogProbsEnabled", "thinking",
        "isSearchQueriesOnly", "stopSequences", "priority", "isRawPrompting", "toolsChoice", "safetyMode",
    },
}  # fmt: skip
_MESSAGE = {
    "SYSTEM": {"content", "name"},
    "DEVELOPER": {"content", "name"},
    "USER": {"content", "name"},
    "ASSISTANT": {"content", "name", "toolCalls", "reasoningContent", "refusal", "annotations", "toolPlan"},
    "TOOL": {"content", "toolCallId"},
}
_PARTS = {
    "TEXT": {"text"}, "IMAGE": {"imageUrl"}, "IMAGE_URL": {"imageUrl"}, "AUDIO": {"audioUrl"},
    "DOCUMENT": {"documentUrl"}, "THINKING": {"thinking"},
}  # fmt: skip
_IMAGES = {"GENERIC": "IMAGE", "COHEREV2": "IMAGE_URL"}
_ENTRY = {"USER": {"message"}, "SYSTEM": {"message"}, "CHATBOT": {"message", "toolCalls"}, "TOOL": {"toolResults"}}


class Violation(Exception):
    """The service would answer 400."""


def check_chat(body: Any) -> None:
    members(body, "the body", {"compartmentId", "servingMode", "chatRequest"})
    check_serving(body)
    request = body["chatRequest"]
    form = request.get("apiFormat")
    if form not in MEMBERS:
        raise Violation(f"apiFormat is {form!r}")
    members(request, "chatRequest", set(), MEMBERS[form])
    if any(value is None for value in request.values()):
        raise Violation("chatRequest has a null")
    if form == "COHERE":
        _check_cohere(request)
    else:
        if not request.get("messages"):
            raise Violation("messages are missing")
        for message in request["messages"]:
            _check_message(message, form)
        _check_tools(request, form)
    _check_format(request.get("responseFormat"), form)


def check_serving(body: Any) -> None:
    if not str(body.get("compartmentId", "")).startswith("ocid1.compartment."):
        raise Violation("compartmentId is no OCID of a compartment")
    serving = body.get("servingMode") or {}
    named = {"ON_DEMAND": "modelId", "DEDICATED": "endpointId"}.get(str(serving.get("servingType")))
    if named is None:
        raise Violation(f"servingType is {serving.get('servingType')!r}")
    members(serving, "servingMode", {"servingType", named})


def members(value: Any, where: str, needed: set[str], allowed: set[str] | None = None) -> None:
    if not isinstance(value, dict):
        raise Violation(f"{where} is no object")
    if missing := needed - value.keys():
        raise Violation(f"{where} lacks {sorted(missing)}")
    if unknown := value.keys() - needed - (allowed or set()):
        raise Violation(f"{where} has unknown members {sorted(unknown)}")


def _check_message(message: Any, form: str) -> None:
    role = message.get("role")
    if role not in _MESSAGE:
        raise Violation(f"role is {role!r}")
    members(message, f"a message of {role}", {"role"}, _MESSAGE[role])
    calls = message.get("toolCalls", [])
    if not message.get("content") and not calls:
        raise Violation(f"a message of {role} has no content")
    for part in message.get("content") or ():
        kind = part.get("type")
        if kind not in _PARTS or (kind.startswith("IMAGE") and kind != _IMAGES[form]):
            raise Violation(f"a part is of type {kind!r}")
        members(part, f"a part of type {kind}", {"type"} | _PARTS[kind])
    for call in calls:
        inner = {"name", "arguments"}
        members(call, "a call", {"id", "type"} | (inner if form == "GENERIC" else {"function"}))
        members(call if form == "GENERIC" else call["function"], "a function", set(), inner | {"id", "type"})


def _check_tools(request: Any, form: str) -> None:
    for tool in request.get("tools", ()):
        if form == "GENERIC":
            members(tool, "a tool", {"type", "name"}, {"description", "parameters"})
        else:
            members(tool, "a tool", {"type", "function"})
            members(tool["function"], "a function", {"name"}, {"description", "parameters"})
        if "$ref" in str(tool):
            raise Violation("a tool has a $ref")
    choice = request.get("toolChoice")
    if choice is not None:
        named = {"name"} if choice.get("type") == "FUNCTION" else set()
        members(choice, "toolChoice", {"type"} | named)
    if request.get("toolsChoice") not in (None, "REQUIRED", "NONE"):
        raise Violation("toolsChoice")
    if (choice or "toolsChoice" in request) and not request.get("tools"):
        raise Violation("a choice of tools without tools")


def _check_cohere(request: Any) -> None:
    members(request, "chatRequest", {"message"}, MEMBERS["COHERE"])
    if bool(request["message"]) == bool(request.get("toolResults")):
        raise Violation("either message or toolResults")
    for entry in request.get("chatHistory", ()):
        role = entry.get("role")
        if role not in _ENTRY:
            raise Violation(f"an entry of {role!r}")
        members(entry, f"an entry of {role}", {"role"}, _ENTRY[role])
        if role != "TOOL" and not entry.get("message"):
            raise Violation(f"an entry of {role} is empty")
        for call in entry.get("toolCalls", ()):
            members(call, "a call", {"name", "parameters"})
        _check_results(entry.get("toolResults", ()))
    _check_results(request.get("toolResults", ()))
    for tool in request.get("tools", ()):
        members(tool, "a tool", {"name", "description"}, {"parameterDefinitions"})
        for definition in tool.get("parameterDefinitions", {}).values():
            members(definition, "a parameter", {"type"}, {"description", "isRequired"})


def _check_results(results: Any) -> None:
    for result in results:
        members(result, "a result", {"call", "outputs"})
        members(result["call"], "a call", {"name", "parameters"})


def _check_format(form: Any, api_format: str) -> None:
    if form is None:
        return
    if api_format == "GENERIC" and form.get("type") == "JSON_SCHEMA":
        members(form, "responseFormat", {"type", "jsonSchema"})
        members(form["jsonSchema"], "jsonSchema", {"name"}, {"description", "schema", "isStrict"})
    elif api_format == "GENERIC":
        members(form, "responseFormat", {"type"})
    else:
        members(form, "responseFormat", {"type"}, {"schema"})
