"""The packages of tests/external on the path, as if they were installed; forgotten again afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOME = Path(__file__).parents[1] / "external"


@contextmanager
def packages(*names: str) -> Iterator[None]:
    """By the names of their directories."""
    places = [str(HOME / name / "src") for name in names]
    sys.path[:0] = places
    try:
        yield
    finally:
        for place in places:
            sys.path.remove(place)
        modules = tuple(name.replace("-", "_") for name in names)
        for loaded in [each for each in sys.modules if each.startswith(modules)]:
            del sys.modules[loaded]
