"""OpenAI's `/v1/files` on loopback: a real HTTP server that keeps files in memory and answers as OpenAI does."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import BodyPartReader, web

KEY = "sk-the-right-key"
OTHER_KEY = "sk-another-right-key"


@dataclass(slots=True)
class StoredFile:
    body: bytes
    filename: str
    purpose: str
    content_type: str
    project: str


@dataclass(slots=True)
class Refusal:
    status: int
    message: str
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


class OpenAIFilesServer:
    """`knows_ranges` False: the whole content comes, whatever range is asked for. `refuse` answers the next request,
    its body unread. `counts_wrong` makes an upload lose a byte."""

    def __init__(self) -> None:
        self.files: dict[str, StoredFile] = {}
        self.knows_ranges = True
        self.counts_wrong = False
        self.refuse: Refusal | None = None
        self.upload_headers: dict[str, str] = {}
        self.broken_off = 0
        self._numbers = itertools.count(1)
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> OpenAIFilesServer:
        app = web.Application(client_max_size=1 << 40)
        app.router.add_post("/v1/files", self._upload)
        app.router.add_get("/v1/files", self._list)
        app.router.add_get("/v1/files/{id}/content", self._content)
        app.router.add_delete("/v1/files/{id}", self._delete)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def _refused(self, request: web.Request) -> web.Response | None:
        refusal, self.refuse = self.refuse, None
        if refusal is None and _project(request) is None:
            refusal = Refusal(401, f"Incorrect API key provided: {_key(request)}.", "invalid_api_key")
        if refusal is None:
            return None
        error = {"message": refusal.message, "type": "error", "param": None, "code": refusal.code}
        return web.json_response({"error": error}, status=refusal.status, headers=refusal.headers)

    async def _upload(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        self.upload_headers = {name.lower(): value for name, value in request.headers.items()}
        fields: dict[str, str] = {}
        body, filename, content_type = b"", "", ""
        try:
            reader = await request.multipart()
            while (part := await reader.next()) is not None:
                assert isinstance(part, BodyPartReader)
                if part.name == "file":
                    body, filename = bytes(await part.read()), part.filename or ""
                    content_type = part.headers["Content-Type"]
                else:
                    fields[part.name or ""] = (await part.read()).decode()
        except (Exception, web.HTTPException):
            self.broken_off += 1
            raise
        number = next(self._numbers)
        project = _project(request)
        assert project is not None
        stored = self.files[f"file-up{number}"] = StoredFile(body, filename, fields["purpose"], content_type, project)
        shown = self._shown(f"file-up{number}", stored)
        return web.json_response(shown | {"bytes": shown["bytes"] - 1} if self.counts_wrong else shown)

    async def _list(self, request: web.Request) -> web.Response:
        refused = self._refused(request)
        return refused or web.json_response(
            {"object": "list", "data": [self._shown(*one) for one in self.files.items()]}
        )

    async def _content(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request) or self._missing(request)) is not None:
            return refused
        body = self.files[request.match_info["id"]].body
        wanted = request.http_range
        if not self.knows_ranges or "Range" not in request.headers:
            return web.Response(body=body)
        start, stop = wanted.start or 0, min(wanted.stop or len(body), len(body))
        if start >= len(body):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(body)}"})
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(body)}"}
        return web.Response(status=206, body=body[start:stop], headers=headers)

    async def _delete(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request) or self._missing(request)) is not None:
            return refused
        file_id = request.match_info["id"]
        del self.files[file_id]
        return web.json_response({"id": file_id, "object": "file", "deleted": True})

    def _missing(self, request: web.Request) -> web.Response | None:
        file_id = request.match_info["id"]
        stored = self.files.get(file_id)
        if stored is not None and stored.project == _project(request):
            return None
        error = {"message": f"No such File object: {file_id}", "type": "invalid_request_error", "param": "id"}
        return web.json_response({"error": {**error, "code": None}}, status=404)

    def _shown(self, file_id: str, stored: StoredFile) -> dict[str, Any]:
        return {
            "id": file_id,
            "object": "file",
            "bytes": len(stored.body),
            "created_at": 1_760_000_000,
            "filename": stored.filename,
            "purpose": stored.purpose,
            "status": "processed",
        }


def _key(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def _project(request: web.Request) -> str | None:
    return {KEY: "one", OTHER_KEY: "two"}.get(_key(request))
