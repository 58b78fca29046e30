"""What Bedrock refuses of a request of Converse or ConverseStream, in its words.

The form is held to AWS's own model of the service, as botocore carries it: unknown members, missing ones, types, enums,
lengths, patterns, base64. So are the replies and events of the loopback. What the model does not say is told below.

Sources: the API reference of Converse, and refusals of the real service as others have reported them.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tests.support.anthropic_upstream_contract import Violation

Json = Mapping[str, Any]


@functools.cache
def _service() -> Any:
    import botocore.session

    return botocore.session.Session().get_service_model("bedrock-runtime")


def check_converse(model: str, body: Any, *, stream: bool) -> None:
    operation = _service().operation_model("ConverseStream" if stream else "Converse")
    check_shape(operation.input_shape, {"modelId": model, **_object(body, "body")}, "")
    _check_messages(body["messages"] if body.get("messages") else _refuse("messages: a message is needed"))
    _check_system(body.get("system", ()))
    _check_tools(body)
    _check_abilities(model, body, stream=stream)


def check_counted(model: str, body: Any) -> None:
    shape = _service().operation_model("CountTokens").input_shape
    check_shape(shape, {"modelId": model, **_object(body, "body")}, "")


def check_reply(reply: Json) -> None:
    """Of the loopback's own."""
    check_shape(_service().operation_model("Converse").output_shape, reply, "")


def check_event(event: Json) -> None:
    """Of the loopback's own: an object with its type as the only member."""
    output = _service().operation_model("ConverseStream").output_shape.members["stream"]
    ((kind, payload),) = event.items()
    check_shape(output.members[kind], payload, kind)


# --- the form


def check_shape(shape: Any, value: Any, path: str) -> None:
    """`Violation` for what AWS's own model of the service does not allow."""
    if getattr(shape, "is_document_type", False):
        return
    check = _CHECKS.get(shape.type_name)
    if check is not None:
        check(shape, value, path)


def _structure(shape: Any, value: Any, path: str) -> None:
    said = _object(value, path)
    for name in said:
        if name not in shape.members:
            _refuse(f"{path}: extraneous key [{name}] is not permitted")
    for name in shape.required_members:
        if name not in said:
            _refuse(f"{path}: required key [{name}] not found")
    if getattr(shape, "is_tagged_union", False) and len(said) != 1:
        _refuse(f"{path}: exactly one member must be set, not {sorted(said)}")
    for name, member in said.items():
        check_shape(shape.members[name], member, f"{path}.{name}")


def _list(shape: Any, value: Any, path: str) -> None:
    if not isinstance(value, list):
        _refuse(f"{path}: a list is needed")
    _check_length(shape, len(value), path)
    for at, member in enumerate(value):
        check_shape(shape.member, member, f"{path}.{at}")


def _map(shape: Any, value: Any, path: str) -> None:
    _check_length(shape, len(_object(value, path)), path)
    for name, member in value.items():
        check_shape(shape.key, name, f"{path}.{name}")
        check_shape(shape.value, member, f"{path}.{name}")


def _string(shape: Any, value: Any, path: str) -> None:
    if not isinstance(value, str):
        _refuse(f"{path}: a string is needed, not {value!r}")
    _check_length(shape, len(value), path)
    if shape.enum and value not in shape.enum:
        _refuse(f"{path}: {value!r} is not one of {shape.enum}")
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value):
        _refuse(f"{path}: {value!r} does not match {pattern}")


def _blob(shape: Any, value: Any, path: str) -> None:
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        _refuse(f"{path}: no base64")
    _check_length(shape, len(data), path)


def _number(shape: Any, value: Any, path: str) -> None:
    kinds: tuple[type, ...] = (int,) if shape.type_name in ("integer", "long") else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        _refuse(f"{path}: a number is needed, not {value!r}")
    if not shape.metadata.get("min", value) <= value <= shape.metadata.get("max", value):
        _refuse(f"{path}: {value!r} is out of range")


def _boolean(shape: Any, value: Any, path: str) -> None:
    if not isinstance(value, bool):
        _refuse(f"{path}: a boolean is needed")


_CHECKS: Mapping[str, Callable[[Any, Any, str], None]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "blob": _blob,
    "integer": _number,
    "long": _number,
    "float": _number,
    "double": _number,
    "boolean": _boolean,
}


def _check_length(shape: Any, length: int, path: str) -> None:
    if not shape.metadata.get("min", 0) <= length <= shape.metadata.get("max", length):
        _refuse(f"{path}: a length of {length} is out of range")


def _object(value: Any, path: str) -> Json:
    if not isinstance(value, dict):
        _refuse(f"{path}: an object is needed")
    return value  # type: ignore[no-any-return]


# --- the conversation


def _check_messages(messages: Sequence[Json]) -> None:
    if messages[0]["role"] != "user":
        _refuse("A conversation must start with a user message.")
    for at, message in enumerate(messages):
        if at and message["role"] == messages[at - 1]["role"]:
            _refuse(f"messages.{at}: roles must alternate between user and assistant")
        if not message["content"]:
            _refuse(f"The content field in the Message object at messages.{at} is empty.")
        for place, block in enumerate(message["content"]):
            _check_block(message["role"], block, f"messages.{at}.content.{place}")
        _check_documents(message["content"], at)
    _check_calls(messages)
    names = [block["document"]["name"] for block in _blocks(messages) if "document" in block]
    if len(names) != len(set(names)):
        _refuse("The document names in the conversation are not unique.")
    last = messages[-1]
    if last["role"] == "assistant" and last["content"][-1].get("text", "").endswith((" ", "\n")):
        _refuse("messages: final assistant content cannot end with trailing whitespace")


def _check_block(role: str, block: Json, path: str) -> None:
    if len(block) != 1:
        _refuse(f"The ContentBlock object at {path} must set one of its members.")
    if "text" in block and not block["text"].strip():
        _refuse(f"The text field in the ContentBlock object at {path} is blank.")
    ((kind, said),) = block.items()
    if kind in ("image", "document", "toolResult", "audio") and role != "user":
        _refuse(f"The {kind} field at {path} is only allowed for the user role.")
    if kind in ("toolUse", "reasoningContent") and role != "assistant":
        _refuse(f"The {kind} field at {path} is only allowed for the assistant role.")
    if kind == "toolResult":
        for part in said["content"]:
            _check_block("user", part, f"{path}.toolResult")


def _check_documents(content: Sequence[Json], at: int) -> None:
    documents = [block["document"] for block in content if "document" in block]
    if documents and not any("text" in block for block in content):
        _refuse(f"messages.{at}: a text block is needed beside documents")
    for document in documents:
        name = document["name"]
        if not re.fullmatch(r"[A-Za-z0-9\s()\[\]-]+", name) or re.search(r"\s\s", name) or "format" not in document:
            _refuse(f"The document file name {name!r} can only contain alphanumeric characters, whitespace, …")


def _check_calls(messages: Sequence[Json]) -> None:
    """Each turn's calls are answered in the next, and nothing else is."""
    called: list[str] = []
    for at, message in enumerate(messages):
        answered = [block["toolResult"]["toolUseId"] for block in message["content"] if "toolResult" in block]
        if len(answered) > len(called):
            _refuse(f"The number of toolResult blocks at messages.{at}.content exceeds the number of toolUse blocks.")
        if set(answered) != set(called) or len(set(answered)) != len(answered):
            _refuse(f"Expected toolResult blocks at messages.{at}.content for the following Ids: {called}")
        called = [block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block]
        if len(set(called)) != len(called):
            _refuse(f"The toolUse ids at messages.{at}.content are not unique.")


def _check_system(system: Sequence[Json]) -> None:
    if any("text" in block and not block["text"].strip() for block in system):
        _refuse("The text field in the SystemContentBlock object is blank.")


def _check_tools(body: Json) -> None:
    config = body.get("toolConfig")
    if config is None:
        if any("toolUse" in block or "toolResult" in block for block in _blocks(body["messages"])):
            _refuse("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
        return
    names = [tool["toolSpec"]["name"] for tool in config["tools"] if "toolSpec" in tool]
    if len(names) != len(set(names)):
        _refuse("toolConfig: the names of tools are not unique")
    forced = config.get("toolChoice", {}).get("tool", {}).get("name")
    if forced is not None and forced not in names:
        _refuse(f"toolConfig.toolChoice names {forced!r}, which is no tool")
    for tool in config["tools"]:
        if "toolSpec" in tool and tool["toolSpec"]["inputSchema"]["json"].get("type") != "object":
            _refuse("toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object.")


# --- what models lack


_AUTO_ONLY = ("meta.", "cohere.", "ai21.")
_APART = ("meta.", "mistral.", "cohere.", "ai21.")
_NO_TOOLS = ("amazon.titan", "deepseek.r1", "meta.llama3-8b")
_NO_SCHEMA = ("meta.", "amazon.", "cohere.", "ai21.")
_FIELDS: Mapping[str, frozenset[str]] = {
    "meta.": frozenset(),
    "amazon.nova": frozenset({"inferenceConfig", "reasoningConfig"}),
    "openai.gpt-oss": frozenset({"reasoning_effort"}),
}


def _check_abilities(model: str, body: Json, *, stream: bool) -> None:
    name = re.sub(r"^(us|eu|global)\.", "", model.rpartition("/")[2])
    config, choice = body.get("toolConfig"), (body.get("toolConfig") or {}).get("toolChoice", {})
    if config and name.startswith(_NO_TOOLS):
        _refuse("This model doesn't support tool use.")
    if config and stream and name.startswith("meta.llama4"):
        _refuse("This model doesn't support tool use in streaming mode.")
    if stream and name.startswith("ai21.j2"):
        _refuse("The model is unsupported for streaming.")
    _check_choice(name, choice)
    if body.get("system") and name.startswith("amazon.titan"):
        _refuse("This model doesn't support system messages. Try again without a system message.")
    if body.get("outputConfig") and name.startswith(_NO_SCHEMA):
        _refuse("This model doesn't support the textFormat field.")
    if name.startswith(_APART) and any(_is_mixed(message["content"]) for message in body["messages"]):
        _refuse("messages: Conversation blocks and tool result blocks cannot be provided in the same turn.")
    fields = set(body.get("additionalModelRequestFields", ()))
    known = next((known for start, known in _FIELDS.items() if name.startswith(start)), fields)
    for field in fields - known:
        _refuse(f"Malformed input request: #: extraneous key [{field}] is not permitted.")


def _check_choice(name: str, choice: Json) -> None:
    for kind in choice:
        if kind != "auto" and (name.startswith(_AUTO_ONLY) or (kind == "tool" and name.startswith("mistral."))):
            _refuse(f"This model doesn't support the toolConfig.toolChoice.{kind} field. Remove it and try again.")


def _is_mixed(content: Sequence[Json]) -> bool:
    return len({"toolResult" in block for block in content}) > 1


def _blocks(messages: Sequence[Json]) -> Iterator[Json]:
    for message in messages:
        yield from message["content"]


def _refuse(message: str) -> Any:
    raise Violation(message)
