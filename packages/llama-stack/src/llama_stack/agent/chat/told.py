"""A chat for a model that knows no tools: what tools gave is told to it by the user, before what the user asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llama_stack.agent.chat.nodes import Called, Node, RoundOver, Said
from llama_stack.agent.chat.parts import Part


def told(nodes: Sequence[Node]) -> list[Node]:
    """The nodes, with all results in their calls, without any call: each result stands in the last message of the user
    before it, ahead of what that says."""
    chat: list[Node] = []
    asked: int | None = None
    results: list[Part] = []
    for node in nodes:
        if isinstance(node, RoundOver):
            continue
        if not isinstance(node, Called):
            chat.append(node)
            if isinstance(node, Said) and node.role == "user":
                asked, results = len(chat) - 1, []
            continue
        if asked is None:
            chat.append(Said("user", []))
            asked = len(chat) - 1
        question = chat[asked]
        assert isinstance(question, Said), "it was found to be one"
        said = question.parts[len(results) :]
        results = [*results, *_paragraphs(node)]
        chat[asked] = replace(question, parts=[*results, *said])
    return chat


def _paragraphs(call: Called) -> list[Part]:
    return [
        {"type": "text", "text": part["text"] + "\n"} if part["type"] == "text" else part for part in call.result or ()
    ]
