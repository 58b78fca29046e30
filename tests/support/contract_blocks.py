"""Reads the properties of responses and conversations, whose many repetitions are kept as named blocks.

The file `responses_properties.txt` explains itself in its first lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from tests.support.contract import Wanted

BLOCKS = Path(__file__).parents[1] / "contract" / "data" / "responses_properties.txt"

Block: TypeAlias = list[list[str]]


def read() -> dict[str, Block]:
    """Heading -> its lines, split at spaces."""
    blocks: dict[str, Block] = {}
    block: Block = []
    for line in BLOCKS.read_text().splitlines():
        if line.startswith("  "):
            block.append(line.split())
        elif not line.startswith("#"):
            block = blocks[line] = []
    return blocks


def wanted_of_responses() -> Iterator[Wanted]:
    blocks = read()

    def open_block(block: Block, root: str) -> Iterator[tuple[str, str, str]]:
        for place, kind, said in block:
            full = root + place.removesuffix(".")
            if kind == "=":
                yield from open_block(blocks[f"[{said}]"], full)
            else:
                yield full, kind, said

    for heading, block in blocks.items():
        if not heading.startswith("["):
            method, path, root = heading.split()
            for place, types, values in open_block(block, root):
                yield Wanted(
                    method, path, place,
                    frozenset() if types == "any" else frozenset(types.split("|")),
                    frozenset() if values == "-" else frozenset(values.split("|")),
                )  # fmt: skip


def operations_of_responses() -> set[tuple[str, str]]:
    return {(method, path) for method, path, _ in (each.split() for each in read() if not each.startswith("["))}
