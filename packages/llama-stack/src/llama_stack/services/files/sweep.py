"""Removes what has expired, and finishes what a crash left half done."""

from __future__ import annotations

from llama_stack.services.files.contents import SIGN_OF_LIFE_EVERY_S, Contents
from llama_stack.services.files.service import FileService
from llama_stack.storage.sql.blobs import BlobTable
from llama_stack.storage.sql.uploads import UploadTable
from llama_stack_api.principal import SYSTEM_CALL

RETRY_S = 60.0


class FileSweep:
    """`request_s`: a request that says nothing for longer than this is over, and what it was writing can go."""

    def __init__(
        self, files: FileService, uploads: UploadTable, blobs: BlobTable, contents: Contents, *, request_s: float
    ) -> None:
        self._files = files
        self._uploads = uploads
        self._blobs = blobs
        self._contents = contents
        self._request_s = request_s

    async def __call__(self, rows_max: int) -> int:
        """At most `rows_max` of each kind; the largest number that was found."""
        files = await self._files.remove_expired(rows_max, SYSTEM_CALL)
        # One that is being completed may finish: whoever began in time is not cut off.
        uploads = await self._uploads.expire_due(rows_max, grace_s=self._request_s)
        silent_s = self._request_s + 2 * SIGN_OF_LIFE_EVERY_S
        unfinished = await self._blobs.unfinished(silent_s=silent_s, retry_s=RETRY_S, limit=rows_max)
        await self._contents.erase(unfinished, SYSTEM_CALL)
        return max(files, uploads, len(unfinished))
