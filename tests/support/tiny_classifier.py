"""A text classifier small enough to be written by hand: ONNX's protobuf, a word-level tokenizer, a config.

The logits of a text are the sums, over its words, of a row of a table: `ignore` and `pretend` are harmful words.

    logits = ReduceSum(Gather(table, input_ids) * Unsqueeze(Cast(attention_mask)), axis=1)

Wire format: https://onnx.ai/onnx/api/classes.html (onnx.proto3).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

FLOAT: Final = 1
INT64: Final = 7
WORDS: Final = ("[PAD]", "[UNK]", "hello", "ignore", "pretend", "world")


def write_classifier(directory: Path, labels: Sequence[str], weights: Mapping[str, Sequence[float]]) -> Path:
    """`weights` are the logits that a word adds, by word; other words add nothing."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    directory.mkdir(parents=True, exist_ok=True)
    table = [weights.get(word, [0.0] * len(labels)) for word in WORDS]
    (directory / "model.onnx").write_bytes(_model(table))
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(directory / "tokenizer.json"))
    named = {str(index): label for index, label in enumerate(labels)}
    (directory / "config.json").write_text(json.dumps({"id2label": named, "max_position_embeddings": 128}))
    return directory


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _node(operator: str, inputs: Sequence[str], output: str, *attributes: bytes) -> bytes:
    named = b"".join(_bytes(1, name) for name in inputs)
    return _bytes(1, named + _bytes(2, output) + _bytes(4, operator) + b"".join(_bytes(5, each) for each in attributes))


def _integer(name: str, value: int) -> bytes:
    return _bytes(1, name) + _number(3, value) + _number(20, 2)


def _tensor(name: str, kind: int, shape: Sequence[int], raw: bytes) -> bytes:
    dims = b"".join(_number(1, size) for size in shape)
    return _bytes(5, dims + _number(2, kind) + _bytes(8, name) + _bytes(9, raw))


def _value(field: int, name: str, kind: int, shape: Sequence[str | int]) -> bytes:
    dims = b"".join(_bytes(1, _bytes(2, size) if isinstance(size, str) else _number(1, size)) for size in shape)
    return _bytes(field, _bytes(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, dims))))


def _model(table: Sequence[Sequence[float]]) -> bytes:
    flat = [value for row in table for value in row]
    graph = b"".join(
        (
            _node("Gather", ["table", "input_ids"], "rows"),
            _node("Cast", ["attention_mask"], "mask", _integer("to", FLOAT)),
            _node("Unsqueeze", ["mask", "last"], "column"),
            _node("Mul", ["rows", "column"], "seen"),
            _node("ReduceSum", ["seen", "words"], "logits", _integer("keepdims", 0)),
            _bytes(2, "tiny"),
            _tensor("table", FLOAT, [len(table), len(table[0])], struct.pack(f"<{len(flat)}f", *flat)),
            _tensor("last", INT64, [1], struct.pack("<q", 2)),
            _tensor("words", INT64, [1], struct.pack("<q", 1)),
            _value(11, "input_ids", INT64, ["texts", "tokens"]),
            _value(11, "attention_mask", INT64, ["texts", "tokens"]),
            _value(12, "logits", FLOAT, ["texts", len(table[0])]),
        )
    )
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _number(2, 13))
