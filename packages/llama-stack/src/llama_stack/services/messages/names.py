"""Which model a name means that a client of Anthropic's API asks for.

What the routing table has goes first. Coding agents and SDKs ask for models of Anthropic's by name, though; the rules
in `server.messages.model_names` say who answers to a name that no provider lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from llama_stack.config.messages import AUTO
from llama_stack.routing.models import ModelEntry, ModelTable
from llama_stack.routing.names import bare_id
from llama_stack_api.errors import ModelNotFound
from llama_stack_api.ports.inference import ModelType
from llama_stack_api.principal import Call

T = TypeVar("T")

KEPT_MAX = 1_000
"""Names whose meaning is remembered until the table changes."""


class ModelNames:
    """`rules` are those of `MessagesConfig.model_names`. A name that a rule speaks of waits for the first listing of
    all providers, `first_discovery_wait_s` at most, so that it means the same from the start on."""

    def __init__(self, table: ModelTable, rules: Mapping[str, str], *, first_discovery_wait_s: float = 5.0) -> None:
        self._table = table
        self._exact = {name: target for name, target in rules.items() if not name.endswith("*")}
        prefixes = [(name[:-1], target) for name, target in rules.items() if name.endswith("*")]
        self._prefixes = sorted(prefixes, key=lambda rule: len(rule[0]), reverse=True)
        self._first_discovery_wait_s = first_discovery_wait_s
        self._kept: dict[str, str] = {}
        table.discovery.subscribe(self._kept.clear)

    async def resolve(self, model: str, call: Call) -> str:
        """A name that the routing table resolves or refuses. `ModelNotFound` if any model would do and there is none.

        In this order: `model` itself, if the table has it; the first model of that name, where several providers have
        one; the rule for that name; the rule for its longest prefix, unless the name says which provider it wants;
        `model` itself, for the table to refuse.
        """
        if self._table.lookup(model) is not None:
            return model
        kept = self._kept.get(model)
        if kept is not None:
            return kept
        target = self._ruled(model)
        if target is None:
            return model
        found = await self._awaited(lambda: self._named(model), call)
        if found is None and target == AUTO:
            found = self._owner(model) or await self._first(model, call)
        meant = target if found is None else found
        if len(self._kept) < KEPT_MAX and self._settled():
            self._kept[model] = meant
        return meant

    def _ruled(self, model: str) -> str | None:
        exact = self._exact.get(model)
        if exact is not None or model.partition("/")[0] in self._table.providers:
            return exact
        return next((target for prefix, target in self._prefixes if model.startswith(prefix)), None)

    def _owner(self, model: str) -> str | None:
        """The model at the provider whose own names are like that. Better its error than the answer of some other model
        while it cannot be reached."""
        for provider in self._table.providers.values():
            prefix = getattr(provider.impl, "own_names", None)
            if prefix is not None and model.startswith(prefix):
                return f"{provider.id}/{model}"
        return None

    async def _first(self, model: str, call: Call) -> str:
        entry = await self._awaited(lambda: next(filter(_is_llm, self._table.entries()), None), call)
        if entry is None:
            raise ModelNotFound(
                f"model {model[:200]!r} not found: server.messages.model_names has the first model of type llm answer "
                "to it, and there is none.",
                param="model",
            )
        return entry.identifier

    def _named(self, model: str) -> str | None:
        """The table's name for it. A bare id that several providers have is ambiguous elsewhere."""
        if self._table.lookup(model) is not None:
            return model
        return next((entry.identifier for entry in self._table.entries() if bare_id(entry) == model), None)

    async def _awaited(self, found: Callable[[], T | None], call: Call) -> T | None:
        return await self._table.discovery.wait_for(
            found, list(self._table.providers), timeout_s=self._first_discovery_wait_s, deadline=call.deadline
        )

    def _settled(self) -> bool:
        return all(map(self._table.discovery.settled, self._table.providers))


def _is_llm(entry: ModelEntry) -> bool:
    return entry.kind == ModelType.llm
