"""Vectors for engines that want numbers."""

from __future__ import annotations

import math
import sys
from array import array


def unit_vector(vector: bytes) -> list[float]:
    """Little-endian 32 bit floats, scaled to the length one; a vector without a direction stays all zeros."""
    values = array("f", vector)
    if sys.byteorder == "big":
        values.byteswap()
    length = math.hypot(*values)
    return [value / length for value in values] if length else values.tolist()
