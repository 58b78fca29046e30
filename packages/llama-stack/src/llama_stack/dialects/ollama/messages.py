"""The messages of a chat completion request as those of `/api/chat`.

    system, developer       system
    user                    the texts as one, the images as a list of base64 data beside it
    assistant               content, `thinking`, tool calls with their arguments as objects
    tool                    tool, under the name of the tool that was called

A participant's `name` is left out: no template of Ollama's reads it.
"""

from __future__ import annotations

from typing import Any, Final

from llama_stack.dialects.chat.arguments import tool_input
from llama_stack.dialects.chat.history import with_function_calls
from llama_stack.dialects.chat.values import Json, mapping, objects, parsed_data_url, text_or
from llama_stack_api.errors import UnsupportedParameter

THOUGHTS: Final = ("reasoning_content", "reasoning")
"""The members of an assistant's message that may hold what it thought, the first of which wins."""

_ROLES: Final = {"developer": "system"}


def ollama_messages(messages: Any) -> list[Json]:
    """`UnsupportedParameter` for parts that Ollama's API has not, and for images that are not sent as data."""
    called: dict[str, str] = {}
    return [_message(message, called) for message in with_function_calls(messages)]


def _message(message: Json, called: dict[str, str]) -> Json:
    role = text_or(message.get("role"), "user")
    texts, images = _parts(message.get("content"))
    said: Json = {"role": _ROLES.get(role, role), "content": "\n".join(texts)}
    if images:
        said["images"] = images
    if role == "assistant":
        said |= _thought(message) | _calls(message, called)
        said["content"] += text_or(message.get("refusal"))
    elif said["role"] == "tool":
        said |= _result(message, called)
    return said


def _parts(content: Any) -> tuple[list[str], list[str]]:
    """Texts, and images in base64."""
    if isinstance(content, str):
        return [content], []
    texts, images = [], []
    for part in objects(content):
        match part.get("type"):
            case "text" | "refusal" as kind:
                texts.append(text_or(part.get(kind)))
            case "image_url":
                images.append(_image(part.get("image_url")))
            case other:
                raise UnsupportedParameter(f"Ollama's models take no content of type {other!r}.", param="messages")
    return texts, images


def _image(image: Any) -> str:
    data = parsed_data_url(text_or(mapping(image).get("url") or image))
    if data is None:
        raise UnsupportedParameter(
            "Ollama fetches no images by their address. Send the image as a data: URL in base64.", param="messages"
        )
    return data[1]


def _thought(message: Json) -> Json:
    thought = next((message[name] for name in THOUGHTS if isinstance(message.get(name), str)), None)
    return {"thinking": thought} if thought else {}


def _calls(message: Json, called: dict[str, str]) -> Json:
    calls = []
    for call in objects(message.get("tool_calls")):
        function = mapping(call.get("function"))
        name, identifier = text_or(function.get("name")), text_or(call.get("id"))
        called[identifier] = name
        calls.append({"id": identifier, "function": {"name": name, "arguments": tool_input(function.get("arguments"))}})
    return {"tool_calls": calls} if calls else {}


def _result(message: Json, called: dict[str, str]) -> Json:
    identifier = text_or(message.get("tool_call_id"))
    name = called.get(identifier) or text_or(message.get("name"))
    return {"tool_name": name} | ({"tool_call_id": identifier} if identifier else {})
