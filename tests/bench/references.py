"""The references: the least that a Python proxy can do, and what most people would write.

Without `from __future__ import annotations`: FastAPI reads the annotations of functions that are made in a function.
"""

import json
import os
from collections.abc import AsyncIterator
from typing import Any

UPSTREAM = os.environ.get("BENCH_UPSTREAM", "")


def bare() -> Any:
    """uvicorn and aiohttp: bytes in, bytes out, the request's body unread."""
    import aiohttp

    session: list[aiohttp.ClientSession] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if not session:
            session.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=512)))
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {"Content-Type": "application/json"}
        async with session[0].request(scope["method"], UPSTREAM + scope["path"], data=body, headers=headers) as reply:
            content_type = reply.headers["Content-Type"].encode()
            head = [(b"content-type", content_type)]
            await send({"type": "http.response.start", "status": reply.status, "headers": head})
            while chunk := await reply.content.readany():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    return app


def fastapi_httpx() -> Any:
    """FastAPI and httpx: a typed request, a `StreamingResponse` over the lines of the upstream."""
    import httpx
    from fastapi import FastAPI
    from fastapi.responses import Response, StreamingResponse
    from pydantic import BaseModel, ConfigDict

    class ChatRequest(BaseModel):
        model_config = ConfigDict(extra="allow")
        model: str
        messages: list[dict[str, Any]]
        stream: bool = False

    app = FastAPI()
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=512), timeout=60)

    @app.post("/v1/chat/completions")
    async def chat(request: ChatRequest) -> Response:
        body = request.model_dump(exclude_unset=True)
        if not request.stream:
            reply = await client.post(f"{UPSTREAM}/v1/chat/completions", json=body)
            return Response(json.dumps(reply.json()), media_type="application/json")

        async def events() -> AsyncIterator[str]:
            async with client.stream("POST", f"{UPSTREAM}/v1/chat/completions", json=body) as reply:
                async for line in reply.aiter_lines():
                    if line:
                        yield f"{line}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return app
