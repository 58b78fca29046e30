"""However large a file is, the server's memory stays as it is."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.running import RunningServer, running

MIB = 1024 * 1024
SIZE_MIB = 300
GROWTH_MIB_MAX = 48

PURPOSE = b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nvision\r\n'
FILE = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
END = b"--b--\r\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    config = tmp_path / "run.yaml"
    config.write_text(
        "version: 2\ndistro_name: t\nproviders:\n  files:\n"
        "  - {provider_id: localfs, provider_type: 'inline::localfs'}\n"
    )
    with running(str(config), "--port", "0", home=tmp_path) as server:
        yield server


def peak_mib(server: RunningServer) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def connection(server: RunningServer) -> closing[HTTPConnection]:
    return closing(HTTPConnection(server.url.removeprefix("http://"), timeout=120))


def send(server: RunningServer, before: bytes, after: bytes) -> tuple[str, str]:
    """The file's id, and the digest of what was sent."""
    digest = hashlib.sha256()
    with connection(server) as http:
        http.putrequest("POST", "/v1/files")
        http.putheader("content-type", "multipart/form-data; boundary=b")
        http.putheader("content-length", str(len(before) + SIZE_MIB * MIB + 2 + len(after)))
        http.endheaders()
        http.send(before)
        block = bytes(range(256)) * (MIB // 256)
        for number in range(SIZE_MIB):
            piece = number.to_bytes(8) + block[8:]
            digest.update(piece)
            http.send(piece)
        http.send(b"\r\n" + after)
        with http.getresponse() as reply:
            assert reply.status == 200
            made = json.load(reply)
    assert made["bytes"] == SIZE_MIB * MIB
    return made["id"], digest.hexdigest()


def received(server: RunningServer, file_id: str) -> str:
    """The digest of what came."""
    digest = hashlib.sha256()
    with connection(server) as http:
        http.request("GET", f"/v1/files/{file_id}/content")
        with http.getresponse() as reply:
            while piece := reply.read(MIB):
                digest.update(piece)
    return digest.hexdigest()


@pytest.mark.parametrize("purpose_first", [True, False])
def test_memory_is_flat(server: RunningServer, purpose_first: bool) -> None:
    with connection(server) as http:
        http.request("GET", "/v1/files")  # the routes are built now
        with http.getresponse() as reply:
            assert reply.status == 200
    before = peak_mib(server)
    parts = (PURPOSE + FILE, END) if purpose_first else (FILE, PURPOSE + END)
    file_id, digest = send(server, *parts)
    assert received(server, file_id) == digest
    assert peak_mib(server) - before < GROWTH_MIB_MAX
