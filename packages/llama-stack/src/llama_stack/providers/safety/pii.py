"""Personal data and secrets in texts: found by their form and their check digits, and blocked, redacted or reported."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field, field_validator

from llama_stack.providers._shared.safety.pii_patterns import ENTITIES, Found, find
from llama_stack.providers._shared.safety.text_shields import TextSettings, TextShields
from llama_stack_api.api import Api
from llama_stack_api.openai.moderations import ModerationVerdict, verdict
from llama_stack_api.provider import provider
from llama_stack_api.safety import SafetyViolation, ViolationLevel

Action = Literal["block", "redact", "warn"]
ON_LOOP_CHARS_MAX: Final = 2048
"""Texts up to here are searched at once, which takes less than a thread would cost."""


class PiiConfig(TextSettings):
    model_config = ConfigDict(extra="allow", defer_build=True)

    entities: list[str] = Field(default_factory=lambda: list(ENTITIES))
    """Which are looked for; the default are all."""
    action: Action = "block"
    """`block`: the text goes no further; `redact`: placeholders take the place of what was found, where the caller can
    do that; `warn`: it is reported."""
    actions: dict[str, Action] = Field(default_factory=dict)
    """The same of single entities: `{EMAIL: redact, IP_ADDRESS: warn}`."""
    allow: list[str] = Field(default_factory=list)
    """What is never reported, in any case of letters: `[support@example.com]`."""
    score_min: float = Field(default=0.5, ge=0, le=1)
    """How sure a finding must be: 1.0 with a check digit or a prefix of its own, less by form alone."""
    chars_max: int = Field(default=2_000_000, ge=1)
    """Of all texts of one request."""

    @field_validator("entities", "actions")
    @classmethod
    def _known(cls, named: Any) -> Any:
        if unknown := set(named) - set(ENTITIES):
            raise ValueError(f"there is no entity {', '.join(sorted(unknown))}; there are: {', '.join(ENTITIES)}")
        return named

    def action_of(self, entity: str) -> Action:
        return self.actions.get(entity, self.action)


@dataclass(frozen=True, slots=True)
class Searched:
    """A text and what is in it."""

    text: str
    found: list[Found]

    def redacted(self, settings: PiiConfig) -> str:
        """The text with placeholders for all that is not merely reported."""
        parts, end = [], 0
        for one in self.found:
            if settings.action_of(one.entity) != "warn":
                parts += [self.text[end : one.start], f"[{one.entity}]"]
                end = one.end
        return "".join([*parts, self.text[end:]])


@provider(
    api=Api.safety,
    type="inline::pii",
    description="Personal data and secrets by pattern and check digit: payment cards, IBANs, e-mail addresses, phone "
    "numbers, national ids, IP addresses, API keys, private keys. Each is blocked, redacted or reported.",
    config=PiiConfig,
    sample={"action": "block"},
)
class Pii(TextShields[PiiConfig, list[Searched]]):
    async def found_in(self, texts: list[str], settings: PiiConfig) -> list[Searched]:
        if sum(map(len, texts)) <= ON_LOOP_CHARS_MAX:
            return _searched(texts, settings)
        return await self.thread.run(_searched, texts, settings)

    def violation(self, found: list[Searched], settings: PiiConfig) -> SafetyViolation | None:
        counts = Counter(one.entity for text in found for one in text.found)
        if not counts:
            return None
        metadata: dict[str, Any] = {"categories": sorted(counts), "counts": dict(sorted(counts.items()))}
        actions = {settings.action_of(entity) for entity in counts}
        if "block" in actions:
            blocked = [entity for entity in sorted(counts) if settings.action_of(entity) == "block"]
            return _violation(
                ViolationLevel.ERROR, f"This holds what must not be passed on: {_said(blocked)}.", metadata
            )
        if "redact" in actions:
            texts = [text.redacted(settings) for text in found]
            metadata |= {"redacted": "\n".join(texts), "redacted_texts": texts}
        return _violation(ViolationLevel.WARN, f"This holds personal data: {_said(sorted(counts))}.", metadata)

    def verdict(self, found: list[Searched], settings: PiiConfig) -> ModerationVerdict:
        scores = {_category(entity): 0.0 for entity in settings.entities}
        for one in (one for text in found for one in text.found):
            scores[_category(one.entity)] = max(one.score, scores[_category(one.entity)])
        return verdict(scores, {name: score > 0 for name, score in scores.items()}, ["text"])


def _searched(texts: list[str], settings: PiiConfig) -> list[Searched]:
    allowed = {value.casefold() for value in settings.allow}
    found = ((text, find(text, settings.entities, settings.score_min)) for text in texts)
    return [
        Searched(text, [one for one in some if text[one.start : one.end].casefold() not in allowed])
        for text, some in found
    ]


def _category(entity: str) -> str:
    return f"pii/{entity.lower().replace('_', '-')}"


def _said(entities: list[str]) -> str:
    return ", ".join(entity.lower().replace("_", " ") for entity in entities)


def _violation(level: ViolationLevel, message: str, metadata: dict[str, Any]) -> SafetyViolation:
    return SafetyViolation(violation_level=level, user_message=message, metadata=metadata)
