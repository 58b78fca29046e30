"""Search in vector stores, as the tools that models know it by: what `GET /v1/tools` lists.

A search needs stores, which a request for a response names in its `file_search` tool; by itself it cannot be invoked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from llama_stack_api.api import Api
from llama_stack_api.errors import NotFound, NotImplementedByProvider
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider
from llama_stack_api.tools import ToolDef, ToolInvocationResult

GROUP: Final = "builtin::file_search"
NAMES: Final = ("file_search", "knowledge_search")


class FileSearchConfig(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True)


@provider(
    api=Api.tool_runtime,
    type="inline::file-search",
    description="Search in the files of vector stores, as the tools file_search and knowledge_search.",
    config=FileSearchConfig,
)
class FileSearch:
    def __init__(self, config: FileSearchConfig, context: ProviderContext) -> None:
        self.name = context.provider_id

    async def list_tools(self, call: Call) -> list[ToolDef]:
        return [
            ToolDef(
                toolgroup_id=GROUP,
                name=name,
                description="Search the files of vector stores.",
                input_schema={
                    "type": "object",
                    "properties": {"query": {"type": "string", "description": "What to search for, as a sentence."}},
                    "required": ["query"],
                },
            )
            for name in NAMES
        ]

    async def invoke_tool(self, name: str, arguments: Mapping[str, Any], call: Call) -> ToolInvocationResult:
        if name not in NAMES:
            raise NotFound(
                f"Provider '{self.name}' has no tool {name!r}; it has {', '.join(NAMES)}.", param="tool_name"
            )
        raise NotImplementedByProvider(
            f"Provider '{self.name}': a file search runs as part of a response, over the vector stores that the tool "
            "'file_search' of its request names."
        )
