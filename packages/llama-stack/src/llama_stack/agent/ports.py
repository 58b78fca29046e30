"""What the agent needs of the rest of the house; `stack/responses.py` hands it in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from llama_stack.agent.entries import Entry
from llama_stack.agent.turn import Turn
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import Call, Principal


class Model(Protocol):
    async def stream(self, params: ChatCompletionRequest, call: Call) -> AsyncGenerator[bytes, None]:
        """Blocks of whole server-sent events of a chat completion, with usage, up to `[DONE]`; a block may be empty.

        `params.stream` is true. Raises `LlamaStackError`s, here or between blocks. Closing it cancels the call.
        """
        ...


class History(Protocol):
    async def before(self, principal: Principal, turn: Turn) -> list[Entry]:
        """What comes before the input of a turn: the turns that it goes on from, or its conversation. The same in every
        attempt. Instructions of earlier turns are not among them."""
        ...

    async def add(self, principal: Principal, turn: Turn, run_id: str, entries: Sequence[Entry]) -> None:
        """Add a finished turn, input and output, to its conversation if it has one. Added again, nothing changes."""
        ...


@dataclass(frozen=True, slots=True)
class Violation:
    """`message` may be shown to the user."""

    shield_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Redacted:
    """What a shield lets pass in place of what it was shown: a text for each text that is not empty, in order."""

    shield_id: str
    texts: tuple[str, ...]


class Shields(Protocol):
    async def check(
        self, shield_ids: Sequence[str], messages: Sequence[dict[str, Any]], call: Call
    ) -> Violation | Redacted | None:
        """What the first of the shields says that does not let chat messages pass as they are; those after it have not
        been asked. The texts of messages are their contents. `NotFound` for an unknown shield."""
        ...


class Attachments(Protocol):
    async def inline(self, entries: Sequence[Entry], call: Call) -> list[Entry]:
        """The entries with images and files that are named by URL or file id put in their place as `data:` URLs (text
        files as text). What cannot be had raises `InvalidRequest`, with a code of the contract."""
        ...


class AgentMetrics(Protocol):
    """Called from the event loop: count and return."""

    def tool_done(self, kind: str, outcome: str, duration_s: float) -> None:
        """`outcome` is `ok` or an error's code."""
        ...

    def response_done(self, status: str, rounds: int) -> None:
        """`rounds` is how often the model was asked."""
        ...
