"""What an answer rests on, where Google searched for it: `groundingMetadata` as annotations."""

from __future__ import annotations

from typing import Any

from llama_stack.dialects.chat.completions import url_citation
from llama_stack.dialects.chat.values import Json, mapping, objects, text_or


def annotations_of(metadata: Any, text: str) -> list[Json]:
    """A `url_citation` for each page behind each stretch of `text`. Google counts in bytes of UTF-8, chat in
    characters."""
    pages = [
        mapping(chunk.get("web") or chunk.get("maps")) for chunk in objects(mapping(metadata).get("groundingChunks"))
    ]
    encoded = text.encode(errors="replace")
    found = []
    for support in objects(mapping(metadata).get("groundingSupports")):
        start, end = _characters(mapping(support.get("segment")), text, encoded)
        indices = support.get("groundingChunkIndices")
        for index in indices if isinstance(indices, list) else ():
            page = pages[index] if isinstance(index, int) and 0 <= index < len(pages) else {}
            if url := text_or(page.get("uri")):
                found.append(url_citation(url, page.get("title"), start, end))
    return found


def _characters(segment: Json, text: str, encoded: bytes) -> tuple[int, int]:
    """Where the segment is. Its own words decide where its numbers count within another part."""
    start, end, words = segment.get("startIndex", 0), segment.get("endIndex", 0), text_or(segment.get("text"))
    if isinstance(start, int) and isinstance(end, int) and (not words or encoded[start:end] == words.encode()):
        return len(encoded[:start].decode(errors="replace")), len(encoded[:end].decode(errors="replace"))
    at = max(text.find(words), 0)
    return at, at + len(words)
