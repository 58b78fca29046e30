"""Parts of chat messages as Converse's content blocks.

    text, refusal           text; text without a visible character is left out, for Bedrock refuses it
    image_url               image: the data of a `data:` URL, or an object in S3 (`s3://bucket/key.png`)
    file                    document: the data of a `data:` URL, or an object in S3; text of any type is `txt`
    input_audio             audio
    others                  refused

Bedrock takes bytes as base64, which is what a `data:` URL has. The name of a document is cut down to what Bedrock takes
(letters, digits, single spaces, hyphens, brackets) and made unique in the conversation.
"""

from __future__ import annotations

import re
from typing import Any, Final

from llama_stack.dialects.chat.values import Json, decoded_text, mapping, objects, parsed_data_url, text_or
from llama_stack_api.errors import InvalidRequest, UnsupportedParameter

S3: Final = "s3://"
NAME_CHARS_MAX: Final = 200
CACHE_TTLS: Final = ("5m", "1h")
_IMAGES: Final = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "gif": "gif", "webp": "webp"}
_DOCUMENTS: Final = ("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md")
_DOCUMENT_MEDIA: Final = {
    "application/pdf": "pdf",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}


class Parts:
    """The parts of one conversation. `caches`: whether `cache_control` of a part becomes a cache point behind it; for a
    model without caching it means nothing."""

    def __init__(self, *, caches: bool) -> None:
        self._caches = caches
        self._names: set[str] = set()

    def blocks(self, content: Any) -> list[Json]:
        """Content that is a string or a list of parts. `UnsupportedParameter` for parts that Converse has not."""
        if isinstance(content, str):
            return _texts(content)
        return [block for part in objects(content) for block in self._blocks(part)]

    def texts(self, content: Any) -> list[Json]:
        """The text of content that has nothing else, and its cache points."""
        return [block for block in self.blocks(content) if "text" in block or "cachePoint" in block]

    def _blocks(self, part: Json) -> list[Json]:
        match part.get("type"):
            case "text":
                blocks = _texts(text_or(part.get("text")))
            case "refusal":
                blocks = _texts(text_or(part.get("refusal")))
            case "image_url":
                blocks = [{"image": _image(part.get("image_url"))}]
            case "file":
                blocks = [{"document": self._document(mapping(part.get("file")))}]
            case "input_audio":
                sound = mapping(part.get("input_audio"))
                blocks = [{"audio": {"format": sound.get("format"), "source": {"bytes": sound.get("data")}}}]
            case other:
                raise UnsupportedParameter(f"Bedrock takes no content of type {other!r}.", param="messages")
        return [*blocks, *self._cache_points(part)] if blocks else []

    def _cache_points(self, part: Json) -> list[Json]:
        mark = part.get("cache_control") or part.get("prompt_cache_breakpoint")
        if not self._caches or not mark:
            return []
        ttl = mapping(mark).get("ttl")
        return [{"cachePoint": {"type": "default", **({"ttl": ttl} if ttl in CACHE_TTLS else {})}}]

    def _document(self, file: Json) -> Json:
        given, name = text_or(file.get("file_data")), text_or(file.get("filename"))
        if not given:
            raise UnsupportedParameter("Bedrock takes no files by 'file_id'. Send 'file_data'.", param="messages")
        named = {"name": self._unique(name or given.rpartition("/")[2] if given.startswith(S3) else name)}
        if given.startswith(S3):
            kind = _extension(given) or _extension(name)
            if kind not in _DOCUMENTS:
                raise InvalidRequest(
                    f"Bedrock tells the type of a document in S3 by its name: one of {', '.join(_DOCUMENTS)}.",
                    param="messages",
                )
            return {"format": kind, **named, "source": {"s3Location": {"uri": given}}}
        media, data = parsed_data_url(given) or ("", given)
        return {"format": _document_kind(media, name, data), **named, "source": {"bytes": data}}

    def _unique(self, filename: str) -> str:
        stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", filename)
        name = " ".join(re.sub(r"[^A-Za-z0-9\s()\[\]-]", " ", stem).split())[: NAME_CHARS_MAX - 8] or "document"
        unique, number = name, 2
        while unique in self._names:
            unique, number = f"{name} {number}", number + 1
        self._names.add(unique)
        return unique


def _texts(text: str) -> list[Json]:
    return [{"text": text}] if text.strip() else []


def _image(image: Any) -> Json:
    url = text_or(mapping(image).get("url") or image)
    if url.startswith(S3):
        kind = _IMAGES.get(_extension(url))
        source: Json = {"s3Location": {"uri": url}}
    else:
        data = parsed_data_url(url)
        if data is None:
            raise UnsupportedParameter(
                "Bedrock takes no images by address in 'messages'. Send them as data: URLs or s3:// locations.",
                param="messages",
            )
        kind, source = _IMAGES.get(data[0].removeprefix("image/")), {"bytes": data[1]}
    if kind is None:
        raise InvalidRequest("Bedrock takes images of the types png, jpeg, gif and webp.", param="messages")
    return {"format": kind, "source": source}


def _document_kind(media: str, name: str, data: str) -> str:
    kind = _DOCUMENT_MEDIA.get(media) or _extension(name)
    if kind in _DOCUMENTS:
        return kind
    if not media and not name:
        return "pdf"
    if decoded_text(data) is None:
        raise InvalidRequest(
            f"Bedrock takes text and documents ({', '.join(_DOCUMENTS)}), no file of type '{media or name}'.",
            param="messages",
        )
    return "txt"


def _extension(name: str) -> str:
    return name.rpartition(".")[2].lower() if "." in name else ""
