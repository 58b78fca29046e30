"""Files to ingest whose chunks are known, one of them broken; for each seed other words, so that all is embedded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llama_stack.rag.chunk import ChunkSizes, chunks_of
from llama_stack_api.ports.file_processors import ParsedFile

SIZES = ChunkSizes(100, 20)
CHUNKING: Any = {
    "type": "static",
    "static": {"max_chunk_size_tokens": SIZES.max_tokens, "chunk_overlap_tokens": SIZES.overlap},
}
POISON = "poison.pdf"
BROKEN = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n" + bytes(range(256)) * 40


@dataclass(frozen=True)
class Corpus:
    """`texts` by filename; `POISON` comes beside them."""

    texts: dict[str, str]

    @classmethod
    def of(cls, seed: object, *, shorts: int = 20) -> Corpus:
        long = _text(f"long{seed}", 600)
        texts = {"long.txt": long, "twin.txt": long, "middle.txt": _text(f"middle{seed}", 90)}
        return cls(texts | {f"short{number}.txt": _text(f"short{seed}x{number}", 8) for number in range(shorts)})

    @property
    def contents(self) -> dict[str, bytes]:
        return {name: text.encode() for name, text in self.texts.items()} | {POISON: BROKEN}

    def chunks(self, name: str) -> list[str]:
        return [chunk.text for chunk in chunks_of(ParsedFile(self.texts[name], "text/plain", ""), SIZES)]


def _text(word: str, paragraphs: int) -> str:
    return "\n\n".join(
        f"Paragraph {number} of {word} tells of subject{number}{word}, says where it is kept, and ends here."
        for number in range(paragraphs)
    )
