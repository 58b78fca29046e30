"""An array that grows at its end."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

S = TypeVar("S", bound=np.generic)

_START = 64


class Growing(Generic[S]):
    """`width` is the shape of one entry. Whoever holds a view keeps seeing its own entries while others are added."""

    def __init__(self, dtype: type[S], width: tuple[int, ...] = (), *, values: NDArray[S] | None = None) -> None:
        self._array: NDArray[Any] = np.empty((_START, *width), dtype) if values is None else values
        self._count = 0 if values is None else len(values)

    def __len__(self) -> int:
        return self._count

    @property
    def view(self) -> NDArray[S]:
        return self._array[: self._count]

    @property
    def nbytes(self) -> int:
        """Of the entries. What is set aside for more takes no memory until it is written."""
        return int(self.view.nbytes)

    def append(self, value: Any) -> None:
        self._make_room(1)
        self._array[self._count] = value
        self._count += 1

    def extend(self, values: NDArray[S]) -> None:
        self._make_room(len(values))
        self._array[self._count : self._count + len(values)] = values
        self._count += len(values)

    def _make_room(self, more: int) -> None:
        needed = self._count + more
        if needed > len(self._array):
            larger = np.empty((max(needed, 2 * len(self._array)), *self._array.shape[1:]), self._array.dtype)
            larger[: self._count] = self.view
            self._array = larger
