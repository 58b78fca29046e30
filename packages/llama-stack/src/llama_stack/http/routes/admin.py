"""Health and version, each under `/v1` and as the admin API's twin."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel

from llama_stack.http.dispatch import Handler, Operation
from llama_stack.http.exchange import Exchange
from llama_stack.services.admin import AdminService
from llama_stack_api.native.admin import HealthInfo, VersionInfo

PREFIXES = {"/v1": "", "/v1alpha/admin": "admin_"}
"""Where the admin routes are, and what tells their names in the OpenAPI document apart."""


def admin_operations(admin: AdminService) -> list[Operation]:
    health, version = _sending(admin.health), _sending(admin.version)
    return [
        operation
        for prefix, named in PREFIXES.items()
        for operation in (
            Operation(
                "GET",
                f"{prefix}/health",
                health,
                name=f"{named}health",
                summary="Whether the server answers. Needs no key.",
                tag="Admin",
                reply=HealthInfo,
            ),
            Operation(
                "GET",
                f"{prefix}/version",
                version,
                name=f"{named}version",
                summary="The server's version. Needs no key.",
                tag="Admin",
                reply=VersionInfo,
            ),
        )
    ]


def _sending(make: Callable[[], BaseModel]) -> Handler:
    async def handle(exchange: Exchange) -> None:
        await exchange.send_json(make().model_dump_json().encode())

    return handle
