"""A conversation in the turns of two who alternate, as Anthropic's and Amazon's APIs want it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from llama_stack.dialects.chat.values import Json

BEGINNING: Final = "(The conversation begins.)"
"""What the user says where the assistant speaks first: the first message is to be the user's."""


class Turns:
    """Messages of `role` and `content`, a list of blocks. A block of text has its text in `text`."""

    def __init__(self) -> None:
        self.messages: list[Json] = []

    def add(self, role: str, blocks: list[Json]) -> None:
        """Messages of one role in a row become one; one without content is none."""
        if not blocks:
            return
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += blocks
        else:
            self.messages.append({"role": role, "content": list(blocks)})

    def finished(self, *, beginning: Json, is_result: Callable[[Json], bool]) -> list[Json]:
        """Results of tools stand ahead of all else that the user says, and `beginning` ahead of it all if need be."""
        for message in self.messages:
            if message["role"] == "user":
                message["content"].sort(key=lambda block: not is_result(block))
        if self.messages and self.messages[0]["role"] == "assistant":
            self.messages.insert(0, {"role": "user", "content": [beginning]})
        self._trim_prefill()
        return self.messages

    def _trim_prefill(self) -> None:
        """An answer that is begun for the model may not end in white space."""
        last: Json = self.messages[-1] if self.messages else {"role": "user"}
        if last["role"] == "assistant" and "text" in last["content"][-1]:
            last["content"][-1]["text"] = last["content"][-1]["text"].rstrip()
