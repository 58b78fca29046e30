"""The server of Milvus Lite, reached as any Milvus server is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def milvus_server(directory: Path) -> Iterator[str]:
    from milvus_lite.adapter.grpc.server import start_server_in_thread

    # One thread: a collection of Milvus Lite takes one writer at a time, and does not see to that itself.
    server, database, port = start_server_in_thread(str(directory), host="127.0.0.1", port=0, max_workers=1)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(grace=0).wait()
        database.close()
