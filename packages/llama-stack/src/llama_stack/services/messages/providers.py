"""What those who serve a model can do for a request of the Messages API, as they say themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llama_stack.routing.table import Entry
from llama_stack_api.anthropic.tool_families import family_of

if TYPE_CHECKING:
    from llama_stack_api.anthropic.messages import CountTokensRequest

RUN_HERE: Final = frozenset({"web_search", "web_fetch", "mcp_toolset"})
"""Families of tools that this server runs itself."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """Of all who may serve a model: what one of them cannot, none can.

    `speaks_messages`: requests may go to them as they are. `runs_tools`: they run Anthropic's server tools themselves.
    `takes_files`: their chat API takes PDFs. `thoughts_member` is where their chat API wants earlier thoughts.
    """

    speaks_messages: bool
    runs_tools: bool
    takes_files: bool
    thinking_blocks: bool
    thoughts_member: str | None

    @classmethod
    def of(cls, entry: Entry) -> Abilities:
        providers: Sequence[object] = [target.provider for target in entry.targets]
        members = {getattr(provider, "thoughts_member", None) for provider in providers}

        def all_have(name: str) -> bool:
            return all(getattr(provider, name, False) for provider in providers)

        return cls(
            speaks_messages=all_have("anthropic_messages"),
            runs_tools=all_have("runs_server_tools"),
            takes_files=all_have("takes_files"),
            thinking_blocks=all_have("takes_thinking_blocks"),
            thoughts_member=members.pop() if len(members) == 1 else None,
        )


def wants_tools_run(request: CountTokensRequest) -> bool:
    """Whether the request names tools that a server is to run."""
    if request.mcp_servers:
        return True
    kinds = (getattr(tool, "type", None) for tool in request.tools or ())
    return any(isinstance(kind, str) and family_of(kind) in RUN_HERE for kind in kinds)
