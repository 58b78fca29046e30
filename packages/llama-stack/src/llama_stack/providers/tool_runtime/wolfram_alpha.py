"""WolframAlpha: computed answers to questions of mathematics, science and facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from llama_stack.providers._shared.keyed_service import KeyedService, plain
from llama_stack.providers._shared.web_engine import KeyedConfig, text_or_none
from llama_stack_api.api import Api
from llama_stack_api.errors import InvalidRequest, NotFound, ProviderError
from llama_stack_api.principal import Call
from llama_stack_api.provider import provider
from llama_stack_api.tools import ToolDef, ToolInvocationResult

TOOL: Final = "wolfram_alpha"
INVALID_KEY_CODES: Final = ("1", "2")
"""They come with HTTP 200."""
PODS_MAX: Final = 20
PODS_LEFT_OUT: Final = frozenset({"Input", "Input interpretation"})


class WolframAlphaConfig(KeyedConfig):
    base_url: str = "https://api.wolframalpha.com/v2"


@provider(
    api=Api.tool_runtime,
    type="remote::wolfram-alpha",
    description="Computed answers by WolframAlpha, as the tool wolfram_alpha.",
    config=WolframAlphaConfig,
    sample={"api_key": "${env.WOLFRAM_ALPHA_API_KEY:=}"},
    turned_on_by="WOLFRAM_ALPHA_API_KEY",
    data_keys={"wolfram_alpha_api_key": "api_key"},
)
class WolframAlpha(KeyedService):
    async def list_tools(self, call: Call) -> list[ToolDef]:
        return [
            ToolDef(
                toolgroup_id="builtin::wolfram_alpha",
                name=TOOL,
                description="Ask WolframAlpha for something that can be computed, or for a fact.",
                input_schema={
                    "type": "object",
                    "properties": {"query": {"type": "string", "description": "The question, short and in English."}},
                    "required": ["query"],
                },
            )
        ]

    async def invoke_tool(self, name: str, arguments: Mapping[str, Any], call: Call) -> ToolInvocationResult:
        if name != TOOL:
            raise NotFound(f"Provider '{self.name}' has no tool {name!r}; it has {TOOL}.", param="tool_name")
        query = arguments.get("query")
        if not isinstance(query, str) or not query:
            raise InvalidRequest(f"The tool {TOOL} needs a text 'query'.", param="query")
        key = self.key(call)
        parameters = {"input": query, "appid": key, "format": "plaintext", "output": "json"}
        answer = await self.get_json(f"{self.base_url}/query?{urlencode(parameters)}", {}, call, secret=key)
        result = answer.get("queryresult")
        if not isinstance(result, dict):
            raise ProviderError(f"Provider '{self.name}' answered with something that is not a result.")
        error = result.get("error")
        if isinstance(error, dict) and str(error.get("code")) in INVALID_KEY_CODES:
            raise self.rejected(200)
        text = "\n\n".join(_pods(result))
        if not text:
            return ToolInvocationResult(error_message="WolframAlpha has no answer to that; ask it more simply.")
        return ToolInvocationResult(content=text)


def _pods(result: dict[str, Any]) -> Iterator[str]:
    """Each part of the answer under its title."""
    pods = [pod for pod in result.get("pods") or () if isinstance(pod, dict)]
    for pod in pods[:PODS_MAX]:
        title = plain(pod.get("title"))
        lines = [text_or_none(sub.get("plaintext")) for sub in pod.get("subpods") or () if isinstance(sub, dict)]
        if title not in PODS_LEFT_OUT and any(lines):
            yield f"{title}:\n" + "\n".join(filter(None, lines))
