"""A Hugging Face hub on loopback, as far as listing and fetching files goes, which can be told to cut a transfer."""

import asyncio
import hashlib
from typing import Any

from aiohttp import web

COMMIT = "c0ffee" + "0" * 34


class Hub:
    """`files`: name to content, of the one repository `owner/name`."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.cut_at: int | None = None
        """Where the next transfer is cut, once."""
        self.announced: bytes | None = None
        """Another content than that of the file, whose hash is announced."""
        self.ranges: list[str] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "Hub":
        app = web.Application()
        app.router.add_get("/api/models/owner/name", self._info)
        app.router.add_route("*", "/owner/name/resolve/{revision}/{file:.+}", self._file)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: Any) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"id": "owner/name", "sha": COMMIT, "siblings": [{"rfilename": name} for name in self.files]}
        )

    async def _file(self, request: web.Request) -> web.StreamResponse:
        content = self.files.get(request.match_info["file"])
        if content is None:
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound"})
        etag = hashlib.sha256(self.announced or content).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        wanted = request.headers.get("Range", "")
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        headers["Content-Length"] = str(len(content) - start)
        reply = web.StreamResponse(status=206 if wanted else 200, headers=headers)
        await reply.prepare(request)
        if request.method == "HEAD":
            return reply
        self.ranges.append(wanted)
        cut_at, self.cut_at = self.cut_at, None
        await reply.write(content[start:cut_at])
        if cut_at is not None:
            await asyncio.sleep(0.05)  # let what was written leave the buffers before the line is cut
            assert request.transport is not None
            request.transport.abort()
        return reply
