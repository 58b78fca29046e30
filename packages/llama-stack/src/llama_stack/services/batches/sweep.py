"""What is left of batches that are over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec

from llama_stack.config.batches import BatchesConfig
from llama_stack.services.batches.validation import Problem
from llama_stack.storage.sql.batch_removal import BatchRemoval

STRANDED_AFTER_S: Final = 2 * 3600.0
"""Whoever makes a batch has long started its run by then, however slowly its requests came."""
_STRANDED: Final = Problem("server_error", "The server ended before it could carry out the batch; create it again.")


class BatchSweep:
    def __init__(self, removal: BatchRemoval, config: BatchesConfig, *, clock: Callable[[], float] = time.time) -> None:
        self._removal = removal
        self._config = config
        self._clock = clock

    async def __call__(self, rows_max: int) -> int:
        """At most so many rows of each sort; how many the most were."""
        now = self._clock()
        errors = msgspec.json.encode([_STRANDED]).decode()
        return max(
            await self._removal.fail_stranded(now - STRANDED_AFTER_S, errors, rows_max),
            await self._removal.remove_ended(now - self._config.retention_s, rows_max),
            await self._removal.remove_lines(rows_max),
        )
