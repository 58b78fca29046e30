"""What a request carries that may not be stored is taken out of it, to be sealed for its run."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import chain

from llama_stack.agent.entries import Item
from llama_stack.agent.turn import TurnSecrets
from llama_stack.runs.secrets import carried
from llama_stack.services.item_tools import take_secrets, tools_of
from llama_stack_api.principal import Call


def secrets_of(call: Call, tools: Iterable[Item], items: Iterable[Item], forwarded: Collection[str]) -> TurnSecrets:
    """The secrets of a request; those of MCP tools are gone from `tools` and `items` afterwards."""
    return TurnSecrets(**carried(call, forwarded), servers=take_secrets(chain(tools, tools_of(items))))
