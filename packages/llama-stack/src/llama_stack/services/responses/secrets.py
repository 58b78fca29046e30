"""What a request carries that may not be stored is taken out of it, to be sealed for its run."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import chain

from llama_stack.agent.entries import Item
from llama_stack.agent.turn import Secrets
from llama_stack.services.item_tools import take_secrets, tools_of
from llama_stack_api.principal import Call


def secrets_of(call: Call, tools: Iterable[Item], items: Iterable[Item], forwarded: Collection[str]) -> Secrets:
    """The secrets of a request; those of MCP tools are gone from `tools` and `items` afterwards.

    `forwarded` are the names of the headers that some provider passes on: no other is kept.
    """
    return Secrets(
        provider_data={name: value.get_secret_value() for name, value in call.provider_data.items()},
        forward_headers={name: call.forward_headers[name] for name in forwarded if name in call.forward_headers},
        servers=take_secrets(chain(tools, tools_of(items))),
    )
