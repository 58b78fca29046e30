"""What of a request lies in S3, where the model reads it with the rights of whoever calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from llama_stack.dialects.chat.values import Json, mapping, objects, text_or

_MEDIA: Final = ("image", "document", "video")


def kept_files_in(request: Json) -> Iterator[str]:
    """The addresses of those that a request of Converse has the model read."""
    for message in objects(request.get("messages")):
        for block in objects(message.get("content")):
            for each in (block, *objects(mapping(block.get("toolResult")).get("content"))):
                yield from _in_block(each)


def _in_block(block: Json) -> Iterator[str]:
    for kind in _MEDIA:
        source = mapping(mapping(block.get(kind)).get("source"))
        if uri := text_or(mapping(source.get("s3Location")).get("uri")):
            yield uri
