"""The safety check that needs nothing: a small classifier of our own. What it is worth: docs/safety-classifier.md."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from pydantic import ConfigDict, Field

from llama_stack.providers._shared.health import unwell
from llama_stack.providers._shared.safety.linear_model import WEIGHTS_PATH, LinearModel, load, pieces_of
from llama_stack.providers._shared.safety.minors import mentions_minors
from llama_stack.providers._shared.safety.text_shields import TextSettings, TextShields
from llama_stack_api.api import Api
from llama_stack_api.errors import NotImplementedByProvider
from llama_stack_api.openai.moderations import ModerationVerdict, verdict
from llama_stack_api.provider import HealthResponse, ProviderContext, provider
from llama_stack_api.safety import SafetyViolation, ViolationLevel

MINORS: Final = "sexual/minors"
ON_LOOP_CHARS_MAX: Final = 2048
"""Texts up to here are judged at once: a thread would cost more than the half of a millisecond that they take."""


class LinearConfig(TextSettings):
    model_config = ConfigDict(extra="allow", defer_build=True)

    threshold: float = Field(default=0.5, ge=0, le=1)
    """The score from which on a category is flagged."""
    thresholds: dict[str, float] = Field(default_factory=dict)
    """The same of single categories: `{violence: 0.8}`."""
    excluded_categories: list[str] = Field(default_factory=list)
    """Scored, but never flagged."""
    chars_max: int = Field(default=2_000_000, ge=1)
    """Of all texts of one request."""

    def flagged(self, scores: dict[str, float]) -> dict[str, bool]:
        return {
            name: score >= self.thresholds.get(name, self.threshold) and name not in self.excluded_categories
            for name, score in scores.items()
        }


@provider(
    api=Api.safety,
    type="inline::linear",
    description="A small classifier built in: OpenAI's moderation categories and prompt injection, in English, in well "
    "under a millisecond a kilobyte. A first line of defence, without a key, a download or a model.",
    config=LinearConfig,
    sample={"threshold": 0.5},
    pip_packages=("numpy>=2,<3",),
)
class LinearSafety(TextShields[LinearConfig, dict[str, float]]):
    """What is found are scores: per category that of the worst text; none for no text."""

    def __init__(self, config: LinearConfig, context: ProviderContext) -> None:
        super().__init__(config, context)
        self._model: LinearModel | None = None

    async def close(self) -> None:
        await super().close()
        self._model = None

    async def health(self) -> HealthResponse:
        if find_spec("numpy") is None:
            return unwell("the package numpy is missing")
        if not WEIGHTS_PATH.exists():
            return unwell(f"{WEIGHTS_PATH.name} is missing from the installation")
        return await super().health()

    async def found_in(self, texts: list[str], settings: LinearConfig) -> dict[str, float]:
        model = await self._ready()
        worst: dict[str, float] = {}
        for piece in (piece for text in texts for piece in pieces_of(text)):
            scores = (
                _judge(model, piece) if len(piece) <= ON_LOOP_CHARS_MAX else await self.thread.run(_judge, model, piece)
            )
            worst = {name: max(score, worst.get(name, 0.0)) for name, score in scores.items()}
        return worst

    def violation(self, found: dict[str, float], settings: LinearConfig) -> SafetyViolation | None:
        flagged = [name for name, is_so in settings.flagged(found).items() if is_so]
        if not flagged:
            return None
        return SafetyViolation(
            violation_level=ViolationLevel.ERROR,
            user_message=_message(flagged),
            metadata={"categories": flagged, "scores": {name: found[name] for name in flagged}},
        )

    def verdict(self, found: dict[str, float], settings: LinearConfig) -> ModerationVerdict:
        flagged = settings.flagged(found)
        names = [name for name, is_so in flagged.items() if is_so]
        return verdict(found, flagged, ["text"], user_message=_message(names) if names else None)

    async def _ready(self) -> LinearModel:
        return self._model if self._model is not None else await self.thread.run(self._load)

    def _load(self) -> LinearModel:
        if self._model is None:
            try:
                self._model = load()
            except ImportError:
                raise NotImplementedByProvider(
                    f"Provider '{self.name}' needs the package numpy. See the list of its packages: "
                    "llama stack list-deps."
                ) from None
        return self._model


def _judge(model: LinearModel, piece: str) -> dict[str, float]:
    scores = model.scores(piece)
    return {**scores, MINORS: scores["sexual"] if mentions_minors(piece) else 0.0}


def _message(categories: list[str]) -> str:
    return f"This was found to be unsafe: {', '.join(categories)}."
