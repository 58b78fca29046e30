"""The tools of tool groups."""

from enum import Enum
from typing import Annotated

from fastapi import FastAPI, Query

from llama_stack.http.routes.parts import CallOf
from llama_stack.services.tools import ToolService
from llama_stack_api.tools import ListToolDefsResponse

TAGS: list[str | Enum] = ["Tools"]

GroupId = Annotated[str | None, Query(description="Only the tools of this group, such as `builtin::websearch`.")]


def add_tool_routes(app: FastAPI, tools: ToolService) -> None:
    @app.get("/v1/tools", tags=TAGS, summary="List tools.", response_model_exclude_none=True)
    async def list_tools(call: CallOf, toolgroup_id: GroupId = None) -> ListToolDefsResponse:
        return await tools.list_tools(call, toolgroup_id=toolgroup_id)
