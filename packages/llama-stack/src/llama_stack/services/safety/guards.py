"""Which shields stand before and behind an API where nobody names any: `safety.guards` of the run config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llama_stack.agent.guardrails import Guardrails, Standing
from llama_stack.agent.ports import Shields
from llama_stack.config.safety import GuardConfig, GuardedApi
from llama_stack_api.principal import Call


@dataclass(frozen=True, slots=True)
class Guard:
    """The shields of one API."""

    shields: Shields
    standing: Standing

    def of(self, call: Call) -> Guardrails:
        """They are asked on behalf of whoever calls."""
        return Guardrails(self.shields, (), call, standing=self.standing)


class Guards:
    def __init__(self, shields: Shields, configured: Sequence[GuardConfig]) -> None:
        self._shields = shields
        self._configured = configured

    def standing(self, api: GuardedApi) -> Standing:
        at = [guard for guard in self._configured if api in guard.apis]
        inputs = [shield_id for guard in at if "input" in guard.check for shield_id in guard.shields]
        outputs = [shield_id for guard in at if "output" in guard.check for shield_id in guard.shields]
        return Standing(tuple(dict.fromkeys(inputs)), tuple(dict.fromkeys(outputs)))

    def at(self, api: GuardedApi) -> Guard | None:
        """None where no shield stands: then nothing is to be done there."""
        standing = self.standing(api)
        return Guard(self._shields, standing) if standing else None
