"""Vectors: bytes (little-endian floats of 32 bits) everywhere above the indexes, and here the numbers that they are."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence


def packed(numbers: Sequence[float]) -> bytes:
    """`ValueError` for a number beyond floats of 32 bits."""
    try:
        return struct.pack(f"<{len(numbers)}f", *numbers)
    except (OverflowError, struct.error):
        raise ValueError("a number is beyond floats of 32 bits") from None


def unpacked(vector: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))


def mean(vectors: Sequence[bytes], weights: Sequence[float]) -> bytes:
    """The direction between directions: each vector counts by its weight, not by its length. Of length 1."""
    rows = [_unit(unpacked(vector)) for vector in vectors]
    return packed(_unit([_dot(column, weights) for column in zip(*rows, strict=True)]))


def _dot(column: Sequence[float], weights: Sequence[float]) -> float:
    return math.fsum(value * weight for value, weight in zip(column, weights, strict=True))


def _unit(vector: Sequence[float]) -> Sequence[float]:
    length = math.hypot(*vector)
    return [value / length for value in vector] if length else vector
