from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from tests.providers.files.places import Place, localfs, openai, s3
from tests.support.openai_files import OpenAIFilesServer


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """An S3 service of its own on loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(params=["localfs", "s3", "openai", "openai_without_ranges"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "localfs":
        async with localfs(tmp_path) as place:
            yield place
    elif request.param == "s3":
        async with s3(tmp_path, request.getfixturevalue("s3_url")) as place:
            yield place
    else:
        async with OpenAIFilesServer() as server, openai(tmp_path, server) as place:
            server.knows_ranges = request.param == "openai"
            yield place
