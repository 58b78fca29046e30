"""Programs of others, from npm: `make test-agents` installs them here. Without them there is no test to run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.upstream import Upstream

PROGRAMS = Path(__file__).parent / "node_modules" / ".bin"
OPENCODE = Path(__file__).parent / "node_modules" / "opencode-linux-x64-baseline" / "bin" / "opencode"
"""The program that `opencode-ai` installs, without what chooses among those of all systems."""

collect_ignore_glob = [] if PROGRAMS.is_dir() else ["test_*.py"]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream
