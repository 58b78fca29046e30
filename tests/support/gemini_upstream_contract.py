"""What Google's generateContent refuses of a request, in Google's words: the first thing that is wrong.

It is as strict as the real one where a translation can go wrong: members that it does not know, turns of calls and
results, signatures of thoughts, what a generation of models can do.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

ANY: dict[str, Any] = {}
_BLOB = {"mimeType": None, "data": None}
_FILE = {"mimeType": None, "fileUri": None}
_PART = {
    "text": None,
    "thought": None,
    "thoughtSignature": None,
    "inlineData": _BLOB,
    "fileData": _FILE,
    "functionCall": {"id": None, "name": None, "args": ANY},
    "functionResponse": {
        "id": None,
        "name": None,
        "response": ANY,
        "parts": [{"inlineData": _BLOB, "fileData": _FILE}],
    },
}
_CONTENT = {"role": None, "parts": [_PART]}
_TOOL = {
    "functionDeclarations": [{"name": None, "description": None, "parameters": ANY, "parametersJsonSchema": ANY}],
    **dict.fromkeys(("googleSearch", "googleMaps", "urlContext", "codeExecution", "fileSearch"), ANY),
}
_THINKING = {"includeThoughts": None, "thinkingBudget": None, "thinkingLevel": None}
_CONFIG = {
    **dict.fromkeys(
        (
            "candidateCount", "maxOutputTokens", "temperature", "topP", "topK", "seed", "presencePenalty",
            "frequencyPenalty", "responseLogprobs", "logprobs", "mediaResolution", "responseMimeType",
        )
    ),
    "stopSequences": ANY,
    "responseSchema": ANY,
    "responseJsonSchema": ANY,
    "thinkingConfig": _THINKING,
}  # fmt: skip
REQUEST: dict[str, Any] = {
    "contents": [_CONTENT],
    "systemInstruction": _CONTENT,
    "tools": [_TOOL],
    "toolConfig": {"functionCallingConfig": {"mode": None, "allowedFunctionNames": ANY}},
    "safetySettings": [{"category": None, "threshold": None, "method": None}],
    "generationConfig": _CONFIG,
    "cachedContent": None,
}
"""Members that Google knows: None is a value, `ANY` holds whatever it likes."""

DUMMY = "skip_thought_signature_validator"
_FUNCTION_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")


class Violation(Exception):
    """The message of a 400."""


def signature_of(thought: str) -> str:
    """The signature that the loopback model puts under a thought, and wants to see again."""
    return base64.b64encode(b"signed:" + hashlib.sha256(thought.encode()).digest()).decode()


def is_newest(model: str) -> bool:
    """From Gemini 3 on; a name without a number is the newest."""
    named = re.search(r"gemini-(\d+)", model)
    return named is None or int(named[1]) >= 3


def check_generate(body: Any, model: str, *, vertex: bool) -> None:
    """Raises `Violation` for a request that Google refuses."""
    _need(isinstance(body, dict), "Invalid JSON payload received.")
    _check_members(body, REQUEST | ({"labels": ANY} if vertex else {}), "")
    _need(bool(body.get("contents")), "* GenerateContentRequest.contents: contents is not specified")
    _check_contents(body["contents"], model, vertex)
    _check_tools(body, model)
    _check_config(body.get("generationConfig", {}), model)


def _check_members(value: Any, known: Any, path: str) -> None:
    if known is None or known is ANY:
        return
    if isinstance(known, list):
        _need(isinstance(value, list), f"Invalid value at '{path}'")
        for at, entry in enumerate(value):
            _check_members(entry, known[0], f"{path}[{at}]")
        return
    _need(isinstance(value, dict), f"Invalid value at '{path}' (type.googleapis.com/…), {value!r}")
    for name, member in value.items():
        place = f" at '{path}'" if path else ""
        _need(name in known, f'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.')
        _need(member is not None, f"Invalid value{place} ({name}), null")
        _check_members(member, known[name], f"{path}.{name}".lstrip("."))


def _check_contents(contents: Sequence[Mapping[str, Any]], model: str, vertex: bool) -> None:
    for at, content in enumerate(contents):
        role, parts = content.get("role"), content.get("parts")
        _need(role in ("user", "model"), "Please use a valid role: user, model.")
        _need(bool(parts), f"* GenerateContentRequest.contents[{at}].parts: contents.parts must not be empty.")
        assert parts is not None
        for part in parts:
            _check_part(part, role, model, vertex)
        before = contents[at - 1] if at else {"role": "", "parts": []}
        _check_turn(content, before)
    if is_newest(model):
        _check_signatures(contents)


def _check_part(part: Mapping[str, Any], role: Any, model: str, vertex: bool) -> None:
    kinds = set(part) & {"text", "inlineData", "fileData", "functionCall", "functionResponse"}
    _need(len(kinds) == 1, "contents.parts: required oneof field 'data' must have one initialized field")
    _need("functionCall" not in kinds or role == "model", "Function call parts must be the model's.")
    _need("functionResponse" not in kinds or role == "user", "Function response parts must be the user's.")
    if "inlineData" in kinds:
        _check_blob(part["inlineData"])
    if "fileData" in kinds:
        _need(not vertex or "mimeType" in part["fileData"], "mimeType parameter in fileData must be set.")
    for kind in kinds & {"functionCall", "functionResponse"}:
        _need(_FUNCTION_NAME.fullmatch(part[kind].get("name", "")) is not None, "Name cannot be empty.")
        _need(
            is_newest(model) or "id" not in part[kind],
            f"Invalid JSON payload received. Unknown name \"id\" at 'contents.parts.{kind}': Cannot find field.",
        )
        _need(isinstance(part[kind].get("args", part[kind].get("response")), dict), "Struct expected")
        for shown in part[kind].get("parts", ()):
            _need(is_newest(model), "Multimodal function responses are not supported by this model.")
            _check_blob(shown["inlineData"])


def _check_blob(blob: Mapping[str, Any]) -> None:
    _need("/" in blob.get("mimeType", ""), f"Unsupported MIME type: {blob.get('mimeType')}")
    try:
        base64.b64decode(blob.get("data", ""), validate=True)
    except binascii.Error:
        raise Violation("Invalid value at 'inline_data.data' (TYPE_BYTES), Base64 decoding failed") from None


def _check_turn(content: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    calls, results = list(_of(content, "functionCall")), list(_of(content, "functionResponse"))
    asked = list(_of(before, "functionCall"))
    if calls:
        _need(
            before["role"] == "user",
            "Please ensure that function call turn comes immediately after a user turn or after a function response "
            "turn.",
        )
    if asked or results:
        _need(
            len(asked) == len(results),
            "Please ensure that the number of function response parts is equal to the number of function call parts "
            "of the function call turn.",
        )
        _need([c["name"] for c in asked] == [r["name"] for r in results], "Function responses in another order.")
        _need([c.get("id") for c in asked] == [r.get("id") for r in results], "Function responses with other ids.")


def _check_signatures(contents: Sequence[Mapping[str, Any]]) -> None:
    """Of the current turn: what follows the last words of the user."""
    turn = max((at for at, each in enumerate(contents) if each["role"] == "user" and not _results(each)), default=-1)
    for at, content in enumerate(contents):
        for place, part in enumerate(content["parts"]):
            signature = part.get("thoughtSignature")
            _need(signature in (None, DUMMY) or _genuine(signature), "Corrupted thought signature.")
            first = "functionCall" in part and all("functionCall" not in other for other in content["parts"][:place])
            _need(
                not first or at < turn or signature is not None,
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                f"work correctly. Additional data, function call `{part.get('functionCall', {}).get('name')}`, "
                f"position {place + 1}.",
            )


def _genuine(signature: str) -> bool:
    try:
        return base64.b64decode(signature, validate=True).startswith(b"signed:")
    except binascii.Error:
        return False


def _results(content: Mapping[str, Any]) -> bool:
    return any(True for _ in _of(content, "functionResponse"))


def _of(content: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    yield from (part[kind] for part in content["parts"] if kind in part)


def _check_tools(body: Mapping[str, Any], model: str) -> None:
    declared = [each for tool in body.get("tools", ()) for each in tool.get("functionDeclarations", ())]
    for each in declared:
        _need(_FUNCTION_NAME.fullmatch(each.get("name", "")) is not None, "Invalid function name.")
        _need(not {"parameters", "parametersJsonSchema"} <= set(each), "Only one of the schemas may be set.")
    config = body.get("toolConfig", {}).get("functionCallingConfig", {})
    mode, names = config.get("mode", "AUTO"), config.get("allowedFunctionNames", [])
    _need(mode in ("AUTO", "ANY", "NONE", "VALIDATED"), f"Invalid value at 'mode', {mode!r}")
    _need(not config or bool(declared), "Function calling config is set without function_declarations.")
    _need(not names or mode in ("ANY", "VALIDATED"), "Allowed function names need the mode ANY or VALIDATED.")
    _need(set(names) <= {each["name"] for each in declared}, "Allowed function names must be declared.")
    formed = body.get("generationConfig", {}).get("responseMimeType") == "application/json"
    _need(
        not (formed and declared) or is_newest(model),
        "Function calling with a response mime type: 'application/json' is unsupported",
    )


def _check_config(config: Mapping[str, Any], model: str) -> None:
    thinking = config.get("thinkingConfig", {})
    newest, names = is_newest(model), set(thinking)
    _need(not {"thinkingLevel", "thinkingBudget"} <= names, "You can only set only one of thinking budget and level.")
    _need(newest or "thinkingLevel" not in names, "Thinking level is not supported for this model.")
    thinks = newest or "gemini-2.5" in model
    _need(thinks or not names, "Thinking is not enabled for this model.")
    only = thinking.get("thinkingBudget") == 0 and "pro" in model
    _need(not only, "Budget 0 is invalid. This model only works in thinking mode.")
    levels = ("low", "medium", "high") if "pro" in model else ("minimal", "low", "medium", "high")
    _need(thinking.get("thinkingLevel", "low") in levels, "Thinking level is not supported for this model.")
    _need(0 <= config.get("temperature", 0) <= 2, "temperature must be in the range [0.0, 2.0].")
    _need(1 <= config.get("candidateCount", 1) <= 8, "candidateCount must be in the range [1, 8].")
    _need(-(2**31) <= config.get("seed", 0) < 2**31, "Invalid value at 'generation_config.seed' (TYPE_INT32)")
    _need(len(config.get("stopSequences", ())) <= 5, "At most 5 stop sequences.")
    _need("logprobs" not in config or config.get("responseLogprobs"), "logprobs needs response_logprobs.")
    formed = config.get("responseMimeType") == "application/json"
    _need(formed or "responseJsonSchema" not in config, "A response schema needs a response mime type.")


def _need(condition: Any, message: str) -> None:
    if not condition:
        raise Violation(message)
