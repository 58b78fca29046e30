"""Parts of chat messages as Gemini's parts.

    text, refusal           text
    image_url, video_url    inlineData for a `data:` URL, fileData for what Google keeps (gs://, Files API, YouTube)
    input_audio             inlineData
    file                    inlineData for `file_data`; `file_id` is an address of Google's, or a name of its Files API

An address elsewhere is refused: not every model fetches, and the others would answer without having seen it.
"""

from __future__ import annotations

import mimetypes
from typing import Any, Final
from urllib.parse import urlsplit

from llama_stack.dialects.chat.values import Json, mapping, objects, parsed_data_url, text_or
from llama_stack.dialects.gemini.kept_files import is_public_video
from llama_stack_api.errors import InvalidRequest, UnsupportedParameter

FILES_API: Final = "https://generativelanguage.googleapis.com/v1beta/"
_MEDIA: Final = {"image/jpg": "image/jpeg"}
_AUDIO: Final = {"pcm16": "audio/pcm", "mpeg": "audio/mpeg"}


def parts_of(content: Any) -> list[Json]:
    """Content that is a string or a list of parts. `UnsupportedParameter` for parts that no Gemini model takes."""
    if isinstance(content, str):
        return _texts(content)
    return [made for part in objects(content) for made in _parts(part)]


def text_of(content: Any) -> str:
    """The text of content, whatever else it holds."""
    return "".join(part["text"] for part in parts_of(content) if "text" in part)


def _parts(part: Json) -> list[Json]:
    match part.get("type"):
        case "text":
            return _texts(text_or(part.get("text")))
        case "refusal":
            return _texts(text_or(part.get("refusal")))
        case "image_url" | "video_url" as kind:
            image = part.get(kind)
            return [_from_address(text_or(mapping(image).get("url") or image))]
        case "input_audio":
            audio = mapping(part.get("input_audio"))
            form = text_or(audio.get("format"), "wav")
            return [_inline(_AUDIO.get(form, f"audio/{form}"), text_or(audio.get("data")))]
        case "file":
            return [_file(mapping(part.get("file")))]
        case other:
            raise UnsupportedParameter(f"Gemini's models take no content of type {other!r}.", param="messages")


def _texts(text: str) -> list[Json]:
    return [{"text": text}] if text else []


def _inline(media: str, data: str) -> Json:
    return {"inlineData": {"mimeType": _MEDIA.get(media, media), "data": data}}


def _from_address(url: str) -> Json:
    data = parsed_data_url(url)
    if data is not None:
        return _inline(*data)
    if not _is_googles(url):
        raise UnsupportedParameter(
            "Gemini's models fetch nothing from elsewhere: send the file as a data: URL in base64, or name one of "
            "Google's (gs://, Files API).",
            param="messages",
        )
    return _file_at(url, url)


def _is_googles(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "gs" or url.startswith(f"{FILES_API}files/") or is_public_video(url)


def _file(file: Json) -> Json:
    name = text_or(file.get("filename"))
    given, known = text_or(file.get("file_data")), text_or(file.get("file_id"))
    if given:
        data = parsed_data_url(given)
        if data is None and given.startswith("data:"):
            raise InvalidRequest("'file_data' is no data: URL in base64.", param="messages")
        return _inline(*(data or (_media_type(name) or "application/pdf", given)))
    uri = f"{FILES_API}{known}" if known.startswith("files/") else known
    if not _is_googles(uri):
        raise UnsupportedParameter(
            "Gemini's models know no 'file_id' but Google's own (files/…, gs://…). Send 'file_data'.", param="messages"
        )
    return _file_at(uri, name or uri)


def _file_at(uri: str, name: str) -> Json:
    media = _media_type(name.partition("?")[0])
    if media is None and is_public_video(uri):
        media = "video/*"
    return {"fileData": {"fileUri": uri} if media is None else {"fileUri": uri, "mimeType": media}}


def _media_type(name: str) -> str | None:
    return mimetypes.guess_type(name)[0]
