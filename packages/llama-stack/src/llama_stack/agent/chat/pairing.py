"""Results to their calls, in whatever order they came.

- A result belongs to the last call of its id before it that has none. If all before it have one, it is a repetition and
  dropped; if there is no call before it, it belongs to the first after it.
- A result without a call (an orphan; of several, the first) gets one, with no arguments, at its place: what a tool said
  must not become what the user says.
- A call without a result is told that there is none.
- An approval request is a call; the `mcp_call` that it led to, or the refusal of the user, is its result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import Final

from llama_stack.agent.chat.nodes import Answered, Called, Node, RoundOver, Verdict
from llama_stack.agent.chat.parts import result_parts

NO_RESULT: Final = "There is no output of this call."
NOT_APPROVED: Final = "The user did not approve this call"


def paired(nodes: Sequence[Node]) -> list[Node]:
    """The nodes, with all results in their calls, and a `RoundOver` where they came."""
    return _with_results(_settled(nodes))


def _settled(nodes: Sequence[Node]) -> list[Node]:
    """Approval requests have what came of them; no `Verdict` is left."""
    requests = {node.request: node for node in nodes if isinstance(node, Called) and node.request is not None}
    if not requests:
        return [node for node in nodes if not isinstance(node, Verdict)]
    by_call = {(node.id, node.name, node.arguments): node for node in requests.values()}
    moved: set[int] = set()
    for at, node in enumerate(nodes):
        if isinstance(node, Called) and node.request is None and node.result is not None:
            made = (node.id, node.name, node.arguments)
            request = requests.get(node.approved_by) if node.approved_by else by_call.get(made)
            if request is not None and request.result is None:
                request.result = node.result
                moved.add(at)
    for node in nodes:
        if isinstance(node, Verdict) and not node.approve and node.request in requests:
            request = requests[node.request]
            request.result = request.result or result_parts(
                f"{NOT_APPROVED}{f': {node.reason}' if node.reason else '.'}"
            )
    return [RoundOver() if at in moved or isinstance(node, Verdict) else node for at, node in enumerate(nodes)]


def _with_results(nodes: Sequence[Node]) -> list[Node]:
    waiting: defaultdict[str, list[Called]] = defaultdict(list)
    early: dict[str, tuple[int, Answered]] = {}
    kept: list[Node] = []
    for at, node in enumerate(nodes):
        if isinstance(node, Called):
            if node.result is None and node.id in early:
                node.result = early.pop(node.id)[1].parts
            elif node.result is None:
                waiting[node.id].append(node)
            else:
                waiting.setdefault(node.id, [])
        elif isinstance(node, Answered):
            if waiting.get(node.call_id):
                waiting[node.call_id].pop().result = node.parts
            elif node.call_id not in waiting:
                early.setdefault(node.call_id or f"call_{at}", (at, node))
            node = RoundOver()
        kept.append(node)
    for call_id, (at, orphan) in early.items():
        kept[at] = Called(call_id, orphan.name, "", orphan.parts)
    for call in chain.from_iterable(waiting.values()):
        call.result = result_parts(NO_RESULT)
    return kept
