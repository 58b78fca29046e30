"""Moderations: parse, judge, send."""

from __future__ import annotations

from llama_stack.http.dispatch import Operation
from llama_stack.http.exchange import Exchange
from llama_stack.services.parsing import parse
from llama_stack.services.safety.moderations import ModerationService
from llama_stack_api.openai.moderations import CreateModerationRequest, CreateModerationResponse


def moderation_operations(moderations: ModerationService) -> list[Operation]:
    async def create_moderation(exchange: Exchange) -> None:
        request = parse(CreateModerationRequest, await exchange.read_json())
        reply = await moderations.create(request, exchange.call())
        await exchange.send_json(reply.model_dump_json(exclude_none=True).encode())

    return [
        Operation(
            "POST",
            "/v1/moderations",
            create_moderation,
            name="create_moderation",
            summary="Judge texts and images by categories of harm.",
            tag="Moderations",
            request=CreateModerationRequest,
            reply=CreateModerationResponse,
        )
    ]
