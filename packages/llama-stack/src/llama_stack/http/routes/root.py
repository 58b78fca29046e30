"""Where coding agents look whether anyone is there before they ask for anything: at `/`, or at `/api/hello`."""

from __future__ import annotations

from llama_stack.http.dispatch import Operation
from llama_stack.http.exchange import Exchange

WELCOME = b'{"name":"Llama Stack","openapi":"/openapi.json","documentation":"/docs"}'
PATHS = {"/": "root", "/api/hello": "hello"}
"""And their names in the OpenAPI document."""


def root_operations() -> list[Operation]:
    async def welcome(exchange: Exchange) -> None:
        await exchange.send_json(WELCOME)

    return [
        Operation("GET", path, welcome, name=name, summary="Where to find out more. Needs no key.", tag="Admin")
        for path, name in PATHS.items()
    ]
