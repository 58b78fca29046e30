"""What a response may be about to do: decided by `state`, carried out by `loop`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from llama_stack.agent.chat.choice import ChatChoice
from llama_stack.agent.entries import Entry, ModelCall
from llama_stack.agent.tools.base import BoundTool, Listing
from llama_stack.runs.model import RunError, RunStatus


@dataclass(frozen=True, slots=True)
class ListTools:
    """Ask these servers for their tools."""

    listings: tuple[Listing, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the model. `number` counts the asking, whether it succeeds or not; `tools` are all that there are, offered or
    not; `max_tokens` is what is left of the response's budget."""

    number: int
    entries: tuple[Entry, ...]
    choice: ChatChoice
    tools: tuple[BoundTool, ...]
    max_tokens: int | None


@dataclass(frozen=True, slots=True)
class Planned:
    """A call of a tool that the server is to run. `approval` is the id of the request that the caller said yes to, and
    `approved_pin` the digest of the definition that was shown there."""

    item_id: str
    call: ModelCall
    tool: BoundTool
    approval: str | None = None
    approved_pin: str | None = None


@dataclass(frozen=True, slots=True)
class RunTools:
    """`room` is how many tokens the model has left for what each of them shows it, where that is known."""

    calls: tuple[Planned, ...]
    room: int | None = None


@dataclass(frozen=True, slots=True)
class Compact:
    """Put a summary in the place of these entries."""

    number: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    status: RunStatus
    reason: str | None = None
    error: RunError | None = None


Effect: TypeAlias = ListTools | Ask | RunTools | Compact | Finish


@dataclass(frozen=True, slots=True)
class Changed:
    """A call that did not run: its tool is not what was approved or shown. `pin` is the digest of what it is now."""

    pin: str


Ran: TypeAlias = list[Entry] | Changed
"""What became of a planned call: its entry, and those that come with it."""
