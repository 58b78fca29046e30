"""The tools of a request that this server runs, bound to those who do the work."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from llama_stack.config.messages import MessagesConfig
from llama_stack.services.messages.chat import Json
from llama_stack.services.messages.server_tools.mcp import AsksServers, mcp_tools
from llama_stack.services.messages.server_tools.tool import ServerTool
from llama_stack.services.messages.server_tools.web_fetch import Addresses, FetchesPages, WebFetch, addresses_in
from llama_stack.services.messages.server_tools.web_search import SearchesWeb, WebSearch
from llama_stack_api.anthropic.tool_families import family_of
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.principal import Call


class Toolbox:
    """`definitions` are all tools of the request as the model is offered them, the client's too."""

    def __init__(self, definitions: Sequence[Json], tools: Sequence[ServerTool], addresses: Addresses) -> None:
        self.definitions = definitions
        self._tools = {tool.name: tool for tool in tools}
        self._hearers: list[Callable[[Json], None]] = [addresses.add]

    def tool(self, name: Any) -> ServerTool | None:
        return self._tools.get(name)

    def tell(self, hearer: Callable[[Json], None]) -> None:
        """Of every block that a tool gives. It may name pages to fetch, and it may be cited."""
        self._hearers.append(hearer)

    def heard(self, result: Json) -> None:
        for hearer in self._hearers:
            hearer(result)


class ToolBinding:
    def __init__(
        self, *, search: SearchesWeb, pages: FetchesPages, servers: AsksServers, config: MessagesConfig
    ) -> None:
        self._search = search
        self._pages = pages
        self._servers = servers
        self._config = config

    async def bind(self, request: Json, call: Call) -> Toolbox:
        """MCP servers are asked for their tools. `InvalidRequest` for tools that contradict themselves or each other,
        and for servers that do not answer."""
        definitions: list[Json] = []
        toolsets: list[Json] = []
        tools: list[ServerTool] = []
        # In a thread, as a long conversation may name very many.
        addresses = await asyncio.to_thread(addresses_in, request["messages"])
        for asked in request.get("tools") or ():
            tool: ServerTool | None = None
            match family_of(asked.get("type") or ""):
                case "web_search":
                    tool = WebSearch(asked, self._search, chars_max=self._config.web_search_chars_max)
                case "web_fetch":
                    tool = WebFetch(asked, self._pages, addresses, self._config)
                case "mcp_toolset":
                    toolsets.append(asked)
                    continue
            definitions.append(asked if tool is None else tool.definition())
            tools += [] if tool is None else [tool]
        names = {definition.get("name") for definition in definitions}
        remote = await mcp_tools(request.get("mcp_servers") or (), toolsets, names, self._servers, call)
        _check_names([definition.get("name") for definition in definitions])
        offered = [*definitions, *(tool.definition() for tool in remote)]
        return Toolbox(offered, [*tools, *remote], addresses)


def _check_names(names: Sequence[Any]) -> None:
    for name in (name for name, count in Counter(names).items() if name is not None and count > 1):
        raise InvalidRequest(f"Two tools have the name {name!r}; each needs its own.", param="tools")
