"""Files: what their providers keep, what is known of them, and the sweep."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from llama_stack.config.server import ServerConfig
from llama_stack.routing.opening import OpenProvider
from llama_stack.services.files.contents import Contents
from llama_stack.services.files.port import AttachedFiles, LocalFiles
from llama_stack.services.files.service import FileService
from llama_stack.services.files.spool import Spool
from llama_stack.services.files.sweep import FileSweep
from llama_stack.services.uploads import UploadService
from llama_stack.storage.sql.blobs import BlobTable
from llama_stack.storage.sql.database import Database
from llama_stack.storage.sql.files import FileTable
from llama_stack.storage.sql.uploads import UploadTable
from llama_stack.storage.sweeper import Sweeper
from llama_stack_api.api import Api


@dataclass(frozen=True, slots=True)
class FileParts:
    """`attached` is for the agent, `local` for ingestion; whoever uses files adds itself to `files.uses`."""

    files: FileService
    uploads: UploadService
    spool: Spool
    attached: AttachedFiles
    local: LocalFiles


async def open_files(
    server: ServerConfig, providers: Sequence[OpenProvider], database: Database, directory: Path, exits: AsyncExitStack
) -> FileParts:
    """`directory` is for copies on the local disk."""
    limits = server.files
    blobs, table, uploads = (
        BlobTable(database),
        FileTable(database, limits=limits),
        UploadTable(database, limits=limits),
    )
    contents = Contents({opened.id: opened.impl for opened in providers if opened.api == Api.files}, blobs)
    files = FileService(table, contents, limits)
    spool = Spool(directory)
    await spool.tidy()
    request_s = max(server.limits.body_timeout_s, server.limits.request_timeout_s)
    sweep = FileSweep(files, uploads, blobs, contents, request_s=request_s)
    sweeper = Sweeper("files", sweep, interval_s=limits.sweep_interval_s, soon=True)
    sweeper.start()
    exits.push_async_callback(sweeper.stop)
    return FileParts(
        files=files,
        uploads=UploadService(uploads, table, files, contents),
        spool=spool,
        attached=AttachedFiles(files, server.responses.attachments),
        local=LocalFiles(files, spool),
    )
