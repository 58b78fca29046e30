"""Searches that run before a model is asked that cannot call tools: of the files, for what the user said last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from llama_stack.agent.context import is_user
from llama_stack.agent.effects import Planned
from llama_stack.agent.entries import Entry, ModelCall
from llama_stack.agent.ids import derived_id
from llama_stack.agent.tools.base import BoundTool
from llama_stack.agent.tools.file_search import FileSearchRunner


def searches_first(tools: Sequence[BoundTool], input: Sequence[Entry], response_id: str) -> Iterator[Planned]:
    """One call for each `file_search`, as a model would have made it, with the same ids in every attempt."""
    question = _question(input)
    if not question:
        return
    arguments = msgspec.json.encode({"query": question}).decode()
    for number, tool in enumerate(tools):
        if isinstance(tool.runner, FileSearchRunner):
            item_id = derived_id("file_search_call", response_id, "first", str(number))
            yield Planned(item_id, ModelCall(derived_id("call", response_id, str(number)), tool.name, arguments), tool)


def _question(input: Sequence[Entry]) -> str:
    """The text of the user's last message."""
    said = next((entry.item for entry in reversed(input) if is_user(entry)), {})
    content = said.get("content")
    if isinstance(content, str):
        return content.strip()
    return "\n".join(part["text"] for part in content or () if part.get("text")).strip()
