"""What the journalled steps of a response have given, for whoever goes on with it or has to end it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from llama_stack.agent.entries import Entry, ModelCall
from llama_stack.agent.turn import Compacted, Generated, ToolDone, Usage, total
from llama_stack.runs.model import Step, StepStatus


@dataclass(slots=True)
class Record:
    """`entries` by the ids of their items; `calls` of tools that the server runs, by the ids that their items have."""

    entries: dict[str, Entry] = field(default_factory=dict)
    calls: dict[str, ModelCall] = field(default_factory=dict)
    usage: Usage | None = None
    rounds: int = 0

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Record:
        record = cls()
        for step in steps:
            if step.status is StepStatus.DONE:
                record._add(step.key.partition(":")[0], step.result or b"")
        return record

    def _add(self, what: str, result: bytes) -> None:
        match what:
            case "model":
                generated = msgspec.json.decode(result, type=Generated)
                self._keep(generated.entries, generated.usage)
                self.calls |= {call.item_id: call.call for call in generated.calls}
                self.rounds += 1
            case "tool":
                self._keep(msgspec.json.decode(result, type=ToolDone).entries)
            case "list":
                self._keep([msgspec.json.decode(result, type=Entry)])
            case "compact":
                compacted = msgspec.json.decode(result, type=Compacted)
                self._keep([compacted.entry], compacted.usage)

    def _keep(self, entries: Iterable[Entry], usage: Usage | None = None) -> None:
        self.entries |= {entry.item["id"]: entry for entry in entries}
        self.usage = total(self.usage, usage)

    @property
    def known(self) -> set[str]:
        """The ids of all items that these results speak of."""
        return {*self.entries, *self.calls}
