import json
from typing import Any

from llama_stack_api import (
    URL,
    Api,
    ListToolDefsResponse,
    OpenAIUserMessageParam,
    RunShieldRequest,
    ToolDef,
    ToolGroup,
    ToolInvocationResult,
)


class FormerSearch:
    """Searches what it has. A shield looks at the query first; the models are among what it finds."""

    def __init__(self, deps: dict[Any, Any]) -> None:
        self.safety, self.models = deps[Api.safety], deps[Api.models]

    async def register_toolgroup(self, toolgroup: ToolGroup) -> None:
        pass

    async def unregister_toolgroup(self, toolgroup_id: str) -> None:
        pass

    async def list_runtime_tools(
        self, tool_group_id: str | None = None, mcp_endpoint: URL | None = None, authorization: str | None = None
    ) -> ListToolDefsResponse:
        schema = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
        return ListToolDefsResponse(data=[ToolDef(name="web_search", description="Search.", input_schema=schema)])

    async def invoke_tool(
        self, tool_name: str, kwargs: dict[str, Any], authorization: str | None = None
    ) -> ToolInvocationResult:
        message = OpenAIUserMessageParam(role="user", content=kwargs["query"])
        judged = await self.safety.run_shield(RunShieldRequest(shield_id="guard", messages=[message]))
        if judged.violation is not None:
            return ToolInvocationResult(error_message="That is not searched for.", error_code=403)
        names = [model.identifier for model in (await self.models.list_models()).data]
        pages = [
            {"url": "https://docs.example.org/models", "title": "Models", "content": ", ".join(names)},
            {"url": "https://elsewhere.example.net/", "title": "Elsewhere", "content": "Nothing."},
        ]
        return ToolInvocationResult(content=json.dumps({"query": kwargs["query"], "top_k": pages}))


def get_provider_impl(config: Any, deps: dict[Any, Any]) -> FormerSearch:
    return FormerSearch(deps)
