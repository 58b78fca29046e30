"""The chunks of one index as arrays: a place for each chunk, in the order in which they came."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llama_stack.providers._shared.vector_cache.attributes import AttributeSets
from llama_stack.providers._shared.vector_cache.growing import Growing
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.filters import Filter
from llama_stack_api.ports.vector_io import Attributes, ChunkRow

Places: TypeAlias = NDArray[np.intp]
Floats: TypeAlias = NDArray[np.float32]

SELECTIONS_KEPT: Final = 32
_BYTES_PER_ID: Final = 150
"""Of the dict of places, as CPython has it."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The chunks that may be found. `mask` is by place; `count` of them are set."""

    mask: NDArray[np.bool_]
    count: int

    @property
    def places(self) -> Places:
        return np.flatnonzero(self.mask)


class VectorTable:
    """One thread changes it at a time; others may search meanwhile, in what they take from it first (`select`).

    `vectors` are of length 1, or 0 if they have no direction. Places never move: a chunk that is gone or replaced is
    dead at its place until the table is made anew (`without_the_dead`).
    """

    def __init__(self, dimension: int, sets: AttributeSets | None = None) -> None:
        self.dimension = dimension
        self.sets = sets or AttributeSets()
        self.vectors = Growing(np.float32, (dimension,))
        self.ids = Growing(np.uint8, (16,))
        self.alive = Growing(np.bool_)
        self.set_numbers = Growing(np.int32)
        self.document_numbers = Growing(np.int32)
        self.documents: dict[str, int] = {}
        self.dead = 0
        self._changes = 0
        self._places: dict[bytes, int] | None = {}
        self._selections: OrderedDict[str, tuple[int, Selection]] = OrderedDict()

    def __len__(self) -> int:
        """Places, the dead ones too."""
        return len(self.alive)

    @property
    def nbytes(self) -> int:
        arrays = (self.vectors, self.ids, self.alive, self.set_numbers, self.document_numbers)
        return sum(array.nbytes for array in arrays) + _BYTES_PER_ID * len(self._places or ()) + 500 * len(self.sets)

    # --- changes

    def add(self, rows: Sequence[ChunkRow]) -> None:
        """Chunks that are there already are replaced; of one id the last counts."""
        rows = list({row.id: row for row in rows}.values())
        vectors = directions([row.vector for row in rows], self.dimension)
        ids = [bytes.fromhex(row.id.replace("-", "")) for row in rows]
        numbers = [self.documents.setdefault(row.document, len(self.documents)) for row in rows]
        places = self._known_places()
        self.bury([place for each in ids if (place := places.get(each)) is not None])
        places.update(zip(ids, range(len(self), len(self) + len(rows)), strict=True))
        self.vectors.extend(vectors)
        self.ids.extend(np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16))
        self.set_numbers.extend(self.sets.numbers_of([row.attributes for row in rows]))
        self.document_numbers.extend(np.array(numbers, np.int32))
        self.alive.extend(np.ones(len(rows), np.bool_))  # last: by its length the others are read
        self._changes += 1

    def remove_document(self, document: str) -> None:
        places = self._places_of(document)
        known = self._known_places()
        for each in self.ids.view[places]:
            known.pop(each.tobytes(), None)
        self.bury(places)
        self._changes += 1

    def set_attributes(self, document: str, attributes: Attributes) -> None:
        self.set_numbers.view[self._places_of(document)] = self.sets.numbers_of([attributes])[0]
        self._changes += 1

    def without_the_dead(self) -> tuple[VectorTable, Places]:
        """A table of the living alone, and for each place the new one (-1: dead)."""
        alive = self.alive.view.copy()
        moved = np.where(alive, np.cumsum(alive) - 1, -1)
        used, numbers = np.unique(self.set_numbers.view[alive], return_inverse=True)
        sets = self.sets.all()
        fresh = VectorTable(self.dimension, AttributeSets(sets[number] for number in used))
        fresh.fill(
            self.vectors.view[alive],
            self.ids.view[alive],
            numbers.astype(np.int32),
            self.document_numbers.view[alive],
            self.documents,
        )
        return fresh, moved

    def fill(
        self,
        vectors: Floats,
        ids: NDArray[np.uint8],
        set_numbers: NDArray[np.int32],
        document_numbers: NDArray[np.int32],
        documents: Iterable[str],
    ) -> None:
        """An empty table, with what another had."""
        names = list(documents)
        used, renumbered = np.unique(document_numbers, return_inverse=True)
        self.documents = {names[number]: place for place, number in enumerate(used)}
        self.vectors = Growing(np.float32, (self.dimension,), values=vectors)
        self.ids = Growing(np.uint8, (16,), values=ids)
        self.set_numbers = Growing(np.int32, values=set_numbers)
        self.document_numbers = Growing(np.int32, values=renumbered.astype(np.int32))
        self.alive = Growing(np.bool_, values=np.ones(len(ids), np.bool_))
        self._places = None

    def _known_places(self) -> dict[bytes, int]:
        """Of the living, by id; made at the first change of a table that was read from a file."""
        if self._places is None:
            raw = self.ids.view.tobytes()
            alive = np.flatnonzero(self.alive.view).tolist()
            self._places = {raw[16 * place : 16 * place + 16]: place for place in alive}
        return self._places

    def _places_of(self, document: str) -> Places:
        number = self.documents.get(document, -1)
        return np.flatnonzero((self.document_numbers.view == number) & self.alive.view)

    def bury(self, places: Places | list[int]) -> None:
        """What is at these places is gone."""
        self.alive.view[places] = False
        self.dead += len(places)

    # --- searches

    def select(self, wanted: Filter | None) -> Selection:
        """Those that are there and match."""
        key = "" if wanted is None else wanted.model_dump_json()
        changes = self._changes
        known = self._selections.get(key)
        if known is not None and known[0] == changes:
            return known[1]
        mask = self.alive.view.copy()
        if wanted is not None:
            mask &= self._matching(wanted, len(mask))
        selection = Selection(mask, int(np.count_nonzero(mask)))
        self._selections.pop(key, None)
        self._selections[key] = (changes, selection)
        while len(self._selections) > SELECTIONS_KEPT:
            self._selections.popitem(last=False)
        return selection

    def _matching(self, wanted: Filter, count: int) -> NDArray[np.bool_]:
        numbers = self.set_numbers.view[:count].copy()  # first: whatever number stands there now, `sets` knows it
        found: NDArray[np.bool_] = self.sets.select(wanted)[numbers]
        return found


def directions(vectors: Sequence[bytes], dimension: int) -> Floats:
    """The vectors at length 1, shape (count, dimension); zeros for one that has no direction, or no finite length."""
    if any(len(vector) != 4 * dimension for vector in vectors):
        wrong = next(len(vector) for vector in vectors if len(vector) != 4 * dimension)
        raise InvalidRequest(f"a vector has {wrong / 4:g} numbers; the vectors of this store have {dimension}")
    raw = np.frombuffer(b"".join(vectors), "<f4").reshape(-1, dimension).astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", raw, raw))[:, None]
    usable = np.isfinite(lengths) & (lengths > 0)
    unit: NDArray[np.float64] = np.divide(raw, lengths, out=np.zeros_like(raw), where=usable)
    return unit.astype(np.float32)
