"""The linear classifier: one logistic regression a category over hashed n-grams, its weights a file of this package."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llama_stack.providers._shared.safety.features import BUCKETS, Grams, Text, text_of
from llama_stack.providers._shared.safety.normalize import normalized

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEIGHTS_PATH: Final = Path(__file__).with_name("linear.weights")
WINDOW_WORDS: Final = 32
"""Longer texts are judged by windows of so many words, each overlapping half of the one before; the worst counts."""
STEP_WORDS: Final = WINDOW_WORDS // 2
PIECE_CHARS: Final = 16_384
"""What is judged in one go. The processor is given up between pieces, and memory stays small."""
PIECE_OVERLAP_CHARS: Final = 256


@dataclass(frozen=True, slots=True)
class LinearModel:
    """`weights` has a row for every bucket and a column for every category. `digest` is that of the training set."""

    categories: tuple[str, ...]
    weights: NDArray[np.int8]
    scales: NDArray[np.float32]
    biases: NDArray[np.float32]
    digest: str

    def scores(self, piece: str) -> dict[str, float]:
        """How likely each category is (0 to 1) in the worst window of a text of at most some 16,000 characters."""
        import numpy as np

        text = text_of(normalized(piece))
        if text.words == 0:
            return dict.fromkeys(self.categories, 0.0)
        logits = window_sums(text, self.weights) * self.scales + self.biases
        worst = 1.0 / (1.0 + np.exp(-logits.max(axis=0).astype(np.float64)))
        return {name: round(float(score), 4) for name, score in zip(self.categories, worst, strict=True)}


def pieces_of(text: str) -> list[str]:
    """The text, or overlapping parts of it."""
    if len(text) <= PIECE_CHARS:
        return [text]
    step = PIECE_CHARS - PIECE_OVERLAP_CHARS
    return [text[start : start + PIECE_CHARS] for start in range(0, len(text) - PIECE_OVERLAP_CHARS, step)]


def window_sums(text: Text, weights: NDArray[Any]) -> NDArray[np.float32]:
    """Per window the sum of its n-grams' weights, divided by the length of the window's vector of n-grams."""
    import numpy as np

    firsts = np.arange(0, max(1, text.words - STEP_WORDS), STEP_WORDS)
    lasts = np.minimum(firsts + WINDOW_WORDS, text.words)
    sums = np.zeros((len(firsts), weights.shape[1]), np.float32)
    squares = np.zeros(len(firsts), np.float32)
    for grams in text.grams:
        begins, ends = _bounds(grams, text, firsts, lasts)
        sums += grams.value * _segment_sums(grams, weights, begins, ends)
        squares += grams.value**2 * (ends - begins)
    sums /= np.sqrt(np.maximum(squares, 1.0))[:, None]
    return sums


def _bounds(grams: Grams, text: Text, firsts: NDArray[Any], lasts: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Per window the first n-gram that it holds and the one behind its last."""
    import numpy as np

    if grams.by_words:
        return firsts, np.maximum(firsts, lasts - grams.size + 1)
    begins = text.starts[firsts]
    return begins, np.maximum(begins, text.starts[lasts] - grams.size + 2)


def _segment_sums(grams: Grams, weights: NDArray[Any], begins: NDArray[Any], ends: NDArray[Any]) -> NDArray[np.float32]:
    import numpy as np

    taken = weights.take(grams.rows, axis=0)
    totals = np.zeros((len(taken) + 1, weights.shape[1]), np.float32)
    np.cumsum(taken, axis=0, dtype=np.float32, out=totals[1:])
    sums: NDArray[np.float32] = totals[ends] - totals[begins]
    return sums


def load(path: Path = WEIGHTS_PATH) -> LinearModel:
    """Reads the weights: a line of JSON, then the deflated bytes of the table. Takes about 0.1 s: numpy is imported."""
    import numpy as np

    header, _, table = path.read_bytes().partition(b"\n")
    said = json.loads(header)
    weights = np.frombuffer(zlib.decompress(table), np.int8).reshape(BUCKETS, len(said["categories"]))
    return LinearModel(
        categories=tuple(said["categories"]),
        weights=weights,
        scales=np.array(said["scales"], np.float32),
        biases=np.array(said["biases"], np.float32),
        digest=said["digest"],
    )


def saved(model: LinearModel) -> bytes:
    header = {
        "format": 1,
        "categories": list(model.categories),
        "scales": [float(f"{scale:.6g}") for scale in model.scales],
        "biases": [float(f"{bias:.6g}") for bias in model.biases],
        "digest": model.digest,
    }
    return json.dumps(header).encode() + b"\n" + zlib.compress(model.weights.tobytes(), 9)
