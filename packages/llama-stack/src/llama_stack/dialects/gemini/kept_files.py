"""What of a request Google keeps for whoever calls: files in Cloud Storage and of the Files API, context caches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from llama_stack.dialects.chat.values import Json, mapping, objects, text_or

_VIDEO_HOSTS: Final = frozenset({"www.youtube.com", "youtube.com", "youtu.be"})


def kept_files_in(request: Json) -> Iterator[str]:
    """The addresses and names of those that a request of generateContent has the model read."""
    if cache := text_or(request.get("cachedContent")):
        yield cache
    for content in (*objects(request.get("contents")), mapping(request.get("systemInstruction"))):
        for part in objects(content.get("parts")):
            yield from _in_part(part)
            for nested in objects(mapping(part.get("functionResponse")).get("parts")):
                yield from _in_part(nested)


def _in_part(part: Json) -> Iterator[str]:
    uri = text_or(mapping(part.get("fileData")).get("fileUri"))
    if uri and not is_public_video(uri):
        yield uri


def is_public_video(uri: str) -> bool:
    address = urlsplit(uri)
    return address.scheme in ("http", "https") and address.hostname in _VIDEO_HOSTS
