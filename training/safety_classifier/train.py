"""Trains the linear classifier and writes its weights: `python -m training.safety_classifier.train [path]`.

Takes some seconds. The same data and the same numpy give the same file; another processor may round a weight otherwise.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from llama_stack.providers._shared.safety.features import BUCKETS, text_of
from llama_stack.providers._shared.safety.linear_model import WEIGHTS_PATH, LinearModel, saved
from llama_stack.providers._shared.safety.normalize import normalized
from training.safety_classifier.samples import Sample, digest, samples

CATEGORIES: Final = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent",
    "self-harm", "self-harm/instructions", "self-harm/intent", "sexual", "violence", "violence/graphic",
    "prompt-injection",
)  # fmt: skip
"""`sexual/minors` is not learnt but concluded: there is no such sentence in the training set."""
EPOCHS: Final = 12
BATCH: Final = 128
LEARNING_RATE: Final = 0.5
DECAY: Final = 2e-5
"""The weight of the squared weights in the loss."""
SEED: Final = 5


@dataclass(frozen=True, slots=True)
class Corpus:
    """Sparse vectors of unit length: those of sample i are `rows[offsets[i]:offsets[i + 1]]`, likewise the values."""

    rows: NDArray[np.int32]
    values: NDArray[np.float32]
    offsets: NDArray[np.int64]
    labels: NDArray[np.float32]


def corpus_of(texts: list[Sample]) -> Corpus:
    rows, values, sizes = [], [], []
    for sample in texts:
        grams = text_of(normalized(sample.text)).grams
        lengths = [len(gram.rows) for gram in grams]
        value = np.repeat(np.array([gram.value for gram in grams], np.float32), lengths)
        rows.append(np.concatenate([gram.rows for gram in grams]))
        values.append(value / np.sqrt((value**2).sum()))
        sizes.append(sum(lengths))
    labels = np.array([[name in sample.labels for name in CATEGORIES] for sample in texts], np.float32)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return Corpus(np.concatenate(rows), np.concatenate(values), offsets, labels)


def trained(corpus: Corpus) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights and biases by Adagrad over small batches, in an order that is always the same."""
    count = len(corpus.labels)
    weights = np.zeros((BUCKETS, len(CATEGORIES)), np.float32)
    biases = np.full(len(CATEGORIES), -2.0, np.float32)
    weight_squares, bias_squares = np.full_like(weights, 1e-4), np.full_like(biases, 1e-2)
    positive = corpus.labels.mean(axis=0)
    importance = np.sqrt((1 - positive) / positive)
    order = np.random.default_rng(SEED)
    for epoch in range(EPOCHS):
        rate = LEARNING_RATE * (1 - epoch / EPOCHS)
        shuffled = order.permutation(count)
        for start in range(0, count, BATCH):
            chosen = shuffled[start : start + BATCH]
            gradient, bias_gradient = _gradient(corpus, chosen, weights, biases, importance)
            gradient += DECAY * weights
            weight_squares += gradient**2
            bias_squares += bias_gradient**2
            weights -= rate * gradient / np.sqrt(weight_squares)
            biases -= 0.1 * rate * bias_gradient / np.sqrt(bias_squares)
    return weights, biases


def _gradient(
    corpus: Corpus, chosen: NDArray[Any], weights: NDArray[Any], biases: NDArray[Any], importance: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    spans = [np.arange(corpus.offsets[index], corpus.offsets[index + 1]) for index in chosen]
    entries = np.concatenate(spans)
    rows, values = corpus.rows[entries], corpus.values[entries]
    firsts = np.concatenate([[0], np.cumsum([len(span) for span in spans])[:-1]])
    logits = np.add.reduceat(weights[rows] * values[:, None], firsts) + biases
    labels = corpus.labels[chosen]
    errors = 1 / (1 + np.exp(-logits)) - labels
    errors *= np.where(labels > 0, importance, 1.0) / len(chosen)
    spread = np.repeat(errors, [len(span) for span in spans], axis=0) * values[:, None]
    columns = [np.bincount(rows, spread[:, column], BUCKETS) for column in range(spread.shape[1])]
    return np.stack(columns, axis=1).astype(np.float32), errors.sum(axis=0).astype(np.float32)


def model_of(weights: NDArray[np.float32], biases: NDArray[np.float32]) -> LinearModel:
    """Each category's weights as whole numbers from -127 to 127."""
    scales = np.abs(weights).max(axis=0) / 127
    rounded = np.rint(weights / scales).astype(np.int8)
    return LinearModel(CATEGORIES, rounded, scales.astype(np.float32), biases, digest())


def train() -> LinearModel:
    return model_of(*trained(corpus_of(samples())))


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS_PATH
    written = saved(train())
    path.write_bytes(written)
    sys.stdout.write(f"{path}: {len(written)} bytes, {len(samples())} samples\n")


if __name__ == "__main__":
    main()
