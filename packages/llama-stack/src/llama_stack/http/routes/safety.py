"""Shields, running one, and moderations."""

from enum import Enum

from fastapi import FastAPI

from llama_stack.http.routes.parts import CallOf
from llama_stack.services.safety.shields import ShieldRouter
from llama_stack_api.safety import RunShieldRequest, RunShieldResponse
from llama_stack_api.shields import ListShieldsResponse, RegisterShieldRequest, Shield

PATH = "/v1/shields"
ONE = "/v1/shields/{identifier:path}"
TAGS: list[str | Enum] = ["Shields"]


def add_shield_routes(app: FastAPI, shields: ShieldRouter) -> None:
    @app.get(PATH, tags=TAGS, summary="List the shields of the run config.")
    async def list_shields(call: CallOf) -> ListShieldsResponse:
        return await shields.list_shields(call)

    @app.post(PATH, tags=TAGS, deprecated=True, summary="Refused: shields come from the run config.")
    async def register_shield(body: RegisterShieldRequest, call: CallOf) -> Shield:
        return await shields.register_shield(call)

    @app.get(ONE, tags=TAGS, summary="Get a shield, by an id that may hold slashes.")
    async def get_shield(identifier: str, call: CallOf) -> Shield:
        return await shields.get_shield(identifier, call)

    @app.delete(ONE, tags=TAGS, deprecated=True, summary="Refused: shields come from the run config.")
    async def unregister_shield(identifier: str, call: CallOf) -> None:
        await shields.delete_shield(identifier, call)

    @app.post("/v1/safety/run-shield", tags=["Safety"], summary="Run a shield over messages.")
    async def run_shield(body: RunShieldRequest, call: CallOf) -> RunShieldResponse:
        return await shields.run_shield(body, call)
