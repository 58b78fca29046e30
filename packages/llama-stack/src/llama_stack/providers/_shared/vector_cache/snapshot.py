"""The contents of an index in a file, so that a restart need not read all rows again.

The file is a cache: it may be missing, old, cut short, or of something else, and is then ignored. Its parts:
`magic`, the length of the head (4 bytes), the head (JSON), the arrays one after another. The head has a checksum of
the arrays, and the file's name and size are checked against it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from llama_stack.providers._shared.vector_cache.attributes import AttributeSets
from llama_stack.providers._shared.vector_cache.contents import Contents
from llama_stack.providers._shared.vector_cache.graph import Graph
from llama_stack.providers._shared.vector_cache.table import VectorTable
from llama_stack_api.ports.vector_io import Index

MAGIC: Final = b"llama-stack vectors 1\n"
SUFFIX: Final = ".vectors"
UNFINISHED: Final = ".tmp"
ABANDONED_AFTER_S: Final = 3600.0
"""The age at which a file that is not finished was left by a process that crashed."""
_HEAD_BYTES_MAX: Final = 64 * 1024
_NAME_MAX: Final = 100

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a file holds: `arrays`, which nobody changes any more, and the rest as JSON."""

    head: dict[str, Any]
    arrays: Arrays
    graph: Graph | None


def snapshot_of(index: Index, contents: Contents) -> Snapshot:
    """Quick, as the large arrays are only ever added to. Nothing may change `contents` meanwhile."""
    table, graph = contents.table, contents.graph
    count = len(table)
    arrays: Arrays = {
        "vectors": table.vectors.view,
        "ids": table.ids.view,
        "alive": table.alive.view.copy(),
        "set_numbers": table.set_numbers.view.copy(),
        "document_numbers": table.document_numbers.view,
        "sets": _lines(table.sets.all()),
        "documents": _lines(table.documents),
    }
    head: dict[str, Any] = {
        "index": index.id,
        "dimension": index.dimension,
        "version": contents.version,
        "count": count,
    }
    if graph is not None:
        arrays["graph_places"] = graph.places
        head["graph"] = {"covered": graph.covered, "built": graph.built}
    return Snapshot(head, arrays, graph)


class SnapshotFiles:
    """One file for each index in a directory of their own, of `bytes_max` at most: those saved or read longest ago give
    way. Several processes may use it at once."""

    def __init__(self, directory: Path, bytes_max: int) -> None:
        self._directory = directory
        self._bytes_max = bytes_max

    def save(self, snapshot: Snapshot) -> None:
        arrays = dict(snapshot.arrays)
        if snapshot.graph is not None:
            arrays["graph"] = snapshot.graph.to_bytes()
        flat = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        head = {**snapshot.head, "sha256": _checksum(flat)}
        head["arrays"] = [[name, str(array.dtype), list(array.shape)] for name, array in flat.items()]
        encoded = json.dumps(head).encode()
        self._tidy()
        self._make_room(sum(array.nbytes for array in flat.values()))
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._directory, suffix=UNFINISHED)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(MAGIC + len(encoded).to_bytes(4, "little") + encoded)
                for array in flat.values():
                    file.write(_raw(array))
            Path(name).replace(self._path(snapshot.head["index"]))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def load(self, index: Index, flat_chunks_max: int) -> Contents | None:
        """None without a file that can be believed."""
        path = self._path(index.id)
        try:
            with path.open("rb") as file:
                head, arrays = _read(file)
            if (head["index"], head["dimension"]) != (index.id, index.dimension):
                return None
            os.utime(path)
            return _contents(index, head, arrays, flat_chunks_max)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):  # the last: a graph of another faiss
            return None

    def remove(self, index: Index) -> None:
        self._path(index.id).unlink(missing_ok=True)

    def _tidy(self) -> None:
        """Remove what crashed processes left."""
        before = time.time() - ABANDONED_AFTER_S
        for path in self._directory.glob(f"*{UNFINISHED}"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _path(self, index_id: str) -> Path:
        if len(index_id) > _NAME_MAX:
            index_id = hashlib.sha256(index_id.encode()).hexdigest()
        return self._directory / f"{index_id}{SUFFIX}"

    def _make_room(self, needed: int) -> None:
        files = []
        for path in self._directory.glob(f"*{SUFFIX}"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            files.append((status.st_mtime, status.st_size, path))
        total = needed + sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._bytes_max:
                break
            path.unlink(missing_ok=True)
            total -= size


def _checksum(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(_raw(array))
    return digest.hexdigest()


def _read(file: BufferedReader) -> tuple[dict[str, Any], Arrays]:
    """Raises `ValueError` and its like for what is not a whole file of ours."""
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("another format")
    length = int.from_bytes(file.read(4), "little")
    if length > _HEAD_BYTES_MAX:
        raise ValueError("another format")
    head = json.loads(file.read(length))
    size = os.fstat(file.fileno()).st_size - file.tell()
    arrays: Arrays = {}
    for name, dtype, shape in head["arrays"]:
        if not _fits(dtype, shape, size):
            raise ValueError("cut short")
        array = np.empty([int(side) for side in shape], np.dtype(dtype))
        if file.readinto(_raw(array)) != array.nbytes:
            raise ValueError("cut short")
        size -= array.nbytes
        arrays[name] = array
    if size or _checksum(arrays) != head["sha256"]:
        raise ValueError("damaged")
    return head, arrays


def _raw(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _fits(dtype: str, shape: list[int], size: int) -> bool:
    return np.dtype(dtype).itemsize * int(np.prod(shape, dtype=object)) <= size


def _contents(index: Index, head: dict[str, Any], arrays: Arrays, flat_chunks_max: int) -> Contents:
    sets = _of_lines(arrays["sets"])
    table = VectorTable(index.dimension, AttributeSets(sets))
    if len(table.sets) != len(sets):
        raise ValueError("numbered otherwise")
    documents = _of_lines(arrays["documents"])
    table.fill(arrays["vectors"], arrays["ids"], arrays["set_numbers"], arrays["document_numbers"], documents)
    table.bury(np.flatnonzero(~arrays["alive"]))
    graph = None
    if "graph" in head:
        graph = Graph.from_bytes(arrays["graph"], arrays["graph_places"], **head["graph"])
    return Contents(table, flat_chunks_max, version=head["version"], graph=graph)


def _lines(values: Iterable[Any]) -> NDArray[np.uint8]:
    """One JSON text to a line. Encoded one by one: all at once would hold the interpreter for as long as it takes."""
    return np.frombuffer(b"".join([json.dumps(value).encode() + b"\n" for value in values]), np.uint8)


def _of_lines(lines: NDArray[np.uint8]) -> list[Any]:
    return [json.loads(line) for line in lines.tobytes().splitlines()]
