"""The content of chat messages as Oracle's parts."""

from __future__ import annotations

from typing import Any, Final

from llama_stack.dialects.chat.values import Json, mapping, objects, text_or
from llama_stack.dialects.oci.formats import ApiFormat
from llama_stack_api.errors import InvalidRequest, UnsupportedParameter

_IMAGE: Final = {ApiFormat.GENERIC: "IMAGE", ApiFormat.COHEREV2: "IMAGE_URL"}
_TEXTS: Final = ("text", "refusal")


def text_part(text: str) -> Json:
    return {"type": "TEXT", "text": text}


def text_of(content: Any, where: str) -> str:
    """Content that can only be text. `UnsupportedParameter` for anything else."""
    if isinstance(content, str):
        return content
    parts = objects(content)
    for part in parts:
        if part.get("type") not in _TEXTS:
            raise _unsupported(f"This model of Oracle's takes only text here, not {part.get('type')!r}.", where)
    return "".join(text_or(part.get("text") or part.get("refusal")) for part in parts)


def parts_of(content: Any, where: str, api_format: ApiFormat) -> list[Json]:
    """Text, images (an address or a `data:` URL), and in the generic format audio and documents."""
    if isinstance(content, str):
        return [text_part(content)] if content else []
    return [_part(part, where, api_format) for part in objects(content)]


def _part(part: Json, where: str, api_format: ApiFormat) -> Json:
    kind = part.get("type")
    if kind in _TEXTS:
        return text_part(text_or(part.get("text") or part.get("refusal")))
    if kind == "image_url":
        image = mapping(part.get("image_url"))
        shown: Json = {"url": text_or(image.get("url"))}
        if isinstance(detail := image.get("detail"), str):
            shown["detail"] = detail.upper()
        return {"type": _IMAGE[api_format], "imageUrl": shown}
    if api_format is ApiFormat.GENERIC and kind == "input_audio":
        audio = mapping(part.get("input_audio"))
        url = f"data:audio/{text_or(audio.get('format'), 'wav')};base64,{text_or(audio.get('data'))}"
        return {"type": "AUDIO", "audioUrl": {"url": url}}
    if api_format is ApiFormat.GENERIC and kind == "file":
        data = mapping(part.get("file")).get("file_data")
        if not isinstance(data, str):
            raise InvalidRequest("Oracle takes a file as its data, not by an id of another service.", param=where)
        return {"type": "DOCUMENT", "documentUrl": {"url": data}}
    raise _unsupported(f"This model of Oracle's takes no content of type {kind!r}.", where)


def _unsupported(message: str, where: str) -> UnsupportedParameter:
    return UnsupportedParameter(message, param=where)
