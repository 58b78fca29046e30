"""What is left behind is put right: changes that no provider has confirmed, files whose runs ended without a word."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from llama_stack.rag.changes import carry_out
from llama_stack.rag.ports import Indexes
from llama_stack.runs.engine import RunEngine
from llama_stack.storage.sql.knowledge.changes import StoreChanges
from llama_stack.storage.sql.knowledge.files import AttachedFileTable
from llama_stack.storage.sql.knowledge.records import AttachedFile, Attachment, PendingChange, StoreRecord
from llama_stack.storage.sweeper import Sweeper
from llama_stack_api.errors import LlamaStackError, NotFound
from llama_stack_api.principal import Principal

log: Final = logging.getLogger(__name__)

PENDING_S: Final = 10.0
"""A change that is younger is being told by whoever made it."""
BEGUN_S: Final = 60.0
"""A file that was attached later is looked at next time."""
LOST: Final = "The ingestion ended without a result; attach the file again."
"""Of a file whose run is gone."""


class IngestionUpkeep:
    """Several processes may do it at once: every step is the same when it is done twice."""

    def __init__(
        self,
        engine: RunEngine,
        files: AttachedFileTable,
        changes: StoreChanges,
        indexes: Indexes,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._files = files
        self._changes = changes
        self._indexes = indexes
        self._clock = clock
        self._sweepers = (
            Sweeper("pending changes of vector stores", self.tell_pending, rows_max=100, soon=True),
            Sweeper("files without a living run", self.fail_abandoned, rows_max=100, soon=True),
        )
        self._after: tuple[str, str] | None = None

    def open(self) -> None:
        for sweeper in self._sweepers:
            sweeper.start()

    async def close(self) -> None:
        for sweeper in self._sweepers:
            await sweeper.stop()

    async def tell_pending(self, rows_max: int) -> int:
        """Tell providers again what they have not confirmed; how many changes they now have."""
        pending = [each for each in await self._changes.pending(rows_max) if each.at < self._clock() - PENDING_S]
        by_document: dict[tuple[str, str], list[PendingChange]] = {}
        for change in pending:
            by_document.setdefault((change.store, change.document), []).append(change)
        told = 0
        for (store, document), changes in by_document.items():
            try:
                await carry_out(changes, self._indexes, self._changes)
                told += len(changes)
            except LlamaStackError as error:
                log.warning("the provider of %s cannot be told of %s yet: %s", store, document, error)
        return told

    async def fail_abandoned(self, rows_max: int) -> int:
        """Files in progress whose run has ended, or is gone, fail with its reason; how many were looked at."""
        begun = await self._files.begun(self._clock() - BEGUN_S, self._after, rows_max)
        for file, store in begun:
            reason = await self._reason(file, store)
            if reason is not None:
                await self._files.fail(store.id, Attachment(file.file, file.attachment), "server_error", reason)
        self._after = (begun[-1][0].store, begun[-1][0].file) if len(begun) == rows_max else None
        return len(begun)

    async def _reason(self, file: AttachedFile, store: StoreRecord) -> str | None:
        """None while its run goes on."""
        assert file.run is not None, "only those that have one are asked for"
        try:
            run = await self._engine.journal.get(Principal(id=store.owner, tenant=store.tenant), file.run)
        except NotFound:
            return LOST
        if not run.status.ended:
            return None
        return run.error.message if run.error is not None else LOST
