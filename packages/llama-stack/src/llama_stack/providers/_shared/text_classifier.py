"""A text classifier on onnxruntime: a directory, or a repository of the hub, with a model exported to ONNX.

model.onnx (or onnx/model.onnx)   input_ids, attention_mask → logits of (texts, labels)
tokenizer.json                    of the `tokenizers` library
config.json                       `id2label`, `max_position_embeddings`
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from llama_stack.providers._shared.gguf_fetch import fetch

TOKENS_MAX: Final = 512
OVERLAP_TOKENS: Final = 64
BATCH_MAX: Final = 8
MODEL_FILES: Final = ("model.onnx", "onnx/model.onnx")


class ClassifierUnavailable(Exception):
    """`str(error)` says what to change, and names no local path."""


class TextClassifier:
    """Loads as it is made. Methods block; onnxruntime and the tokenizer release the GIL while they compute."""

    def __init__(self, model: str, *, token: str | None, threads: int | None) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        files = _files_of(model, token)
        described = json.loads(files["config.json"].read_text())
        labels = described.get("id2label") or {}
        self.labels = [str(labels[key]) for key in sorted(labels, key=int)]
        """By the index of their logits."""
        limit = described.get("max_position_embeddings")
        self._tokens_max = min(TOKENS_MAX, limit) if isinstance(limit, int) and limit > OVERLAP_TOKENS else TOKENS_MAX
        self._tokenizer: Any = Tokenizer.from_file(str(files["tokenizer.json"]))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self._tokens_max, stride=OVERLAP_TOKENS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or max(1, min(4, (os.cpu_count() or 1) // 2))
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: Any = onnxruntime.InferenceSession(
            str(files[MODEL_FILES[0]]), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [each.name for each in self._session.get_inputs()]

    def windows(self, text: str) -> list[list[int]]:
        """The text's token ids, in overlapping pieces of what the model takes."""
        first = self._tokenizer.encode(text)
        return [each.ids for each in (first, *first.overflowing)]

    def probabilities(self, windows: Sequence[Sequence[int]]) -> list[list[float]]:
        """Of each label, for at most `BATCH_MAX` windows."""
        import numpy as np

        longest = max(map(len, windows))
        ids = np.zeros((len(windows), longest), np.int64)
        mask = np.zeros_like(ids)
        for row, window in enumerate(windows):
            ids[row, : len(window)] = window
            mask[row, : len(window)] = 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (logits,) = self._session.run(None, {name: given[name] for name in self._inputs})[:1]
        exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return [[float(value) for value in row] for row in exponents / exponents.sum(axis=-1, keepdims=True)]


def _files_of(model: str, token: str | None) -> Mapping[str, Path]:
    directory = Path(model).expanduser()
    if directory.is_dir():
        return _named(lambda name: directory / name if (directory / name).is_file() else None)
    if model.startswith(("/", ".", "~")) or model.count("/") != 1:
        raise ClassifierUnavailable("the model is neither a directory that exists nor a hub repository (owner/name)")

    def fetched(name: str) -> Path | None:
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

        try:
            return fetch(model, name, token=token, progress=lambda here, whole: None)
        except EntryNotFoundError:
            return None
        except (HfHubHTTPError, OSError) as error:
            raise ClassifierUnavailable(
                f"'{model}' could not be fetched from the hub ({type(error).__name__}); it may want a token "
                "(HF_TOKEN), or the network"
            ) from None

    return _named(fetched)


def _named(find: Callable[[str], Path | None]) -> Mapping[str, Path]:
    model = next((path for name in MODEL_FILES if (path := find(name)) is not None), None)
    sought = {"config.json": find("config.json"), "tokenizer.json": find("tokenizer.json"), MODEL_FILES[0]: model}
    found = {name: path for name, path in sought.items() if path is not None}
    if missing := [name for name in sought if name not in found]:
        raise ClassifierUnavailable(f"the model has no {' and no '.join(missing)}; export it to ONNX first")
    return found
