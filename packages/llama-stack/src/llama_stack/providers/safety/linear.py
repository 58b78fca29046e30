"""The safety check that needs nothing: a small classifier of our own. What it is worth: docs/safety-classifier.md."""

from __future__ import annotations

import uuid
from importlib.util import find_spec
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from llama_stack.providers._shared.health import unwell
from llama_stack.providers._shared.safety.inputs import check_size, inputs_of, texts_of_messages
from llama_stack.providers._shared.safety.linear_model import WEIGHTS_PATH, LinearModel, load, pieces_of
from llama_stack.providers._shared.safety.minors import mentions_minors
from llama_stack.providers._shared.safety.shield_settings import ShieldSettings
from llama_stack.providers._shared.threads import Threads
from llama_stack_api.api import Api
from llama_stack_api.errors import NotImplementedByProvider
from llama_stack_api.openai.moderations import CreateModerationRequest, CreateModerationResponse, verdict
from llama_stack_api.principal import Call
from llama_stack_api.provider import HealthResponse, HealthStatus, ProviderContext, provider
from llama_stack_api.safety import RunShieldRequest, RunShieldResponse, SafetyViolation, ViolationLevel
from llama_stack_api.shields import Shield

MINORS: Final = "sexual/minors"
ON_LOOP_CHARS_MAX: Final = 2048
"""Texts up to here are judged at once: a thread would cost more than the half of a millisecond that they take."""


class LinearConfig(BaseModel):
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
class LinearSafety:
    def __init__(self, config: LinearConfig, context: ProviderContext) -> None:
        self._name = context.provider_id
        self._settings = ShieldSettings(config)
        self._thread = Threads(context.provider_id, threads_max=1)
        self._model: LinearModel | None = None

    async def open(self) -> None:
        self._thread.open()

    async def close(self) -> None:
        await self._thread.close()
        self._model = None

    async def register_shield(self, shield: Shield) -> None:
        self._settings.register(shield)

    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        settings = self._settings.of(request.shield_id)
        scores = await self._scores(texts_of_messages(request.messages), settings)
        found = [name for name, flagged in settings.flagged(scores).items() if flagged]
        if not found:
            return RunShieldResponse()
        return RunShieldResponse(
            violation=SafetyViolation(
                violation_level=ViolationLevel.ERROR,
                user_message=_message(found),
                metadata={"categories": found, "scores": {name: scores[name] for name in found}},
            )
        )

    async def moderate(self, request: CreateModerationRequest, call: Call) -> CreateModerationResponse:
        settings = self._settings.of(request.model)
        inputs = inputs_of(request)
        check_size([text for texts in inputs for text in texts], settings.chars_max, self._name)
        results = []
        for texts in inputs:
            scores = await self._scores(texts, settings)
            flagged = settings.flagged(scores)
            found = [name for name, is_so in flagged.items() if is_so]
            results.append(verdict(scores, flagged, ["text"], user_message=_message(found) if found else None))
        return CreateModerationResponse(
            id=f"modr-{uuid.uuid4().hex}", model=request.model or self._name, results=results
        )

    async def health(self) -> HealthResponse:
        if find_spec("numpy") is None:
            return unwell("the package numpy is missing")
        if not WEIGHTS_PATH.exists():
            return unwell(f"{WEIGHTS_PATH.name} is missing from the installation")
        return HealthResponse(status=HealthStatus.OK)

    async def _scores(self, texts: list[str], settings: LinearConfig) -> dict[str, float]:
        """Per category that of the worst text; none for no text."""
        check_size(texts, settings.chars_max, self._name)
        model = await self._ready()
        worst: dict[str, float] = {}
        for piece in (piece for text in texts for piece in pieces_of(text)):
            scores = (
                _judge(model, piece)
                if len(piece) <= ON_LOOP_CHARS_MAX
                else await self._thread.run(_judge, model, piece)
            )
            worst = {name: max(score, worst.get(name, 0.0)) for name, score in scores.items()}
        return worst

    async def _ready(self) -> LinearModel:
        return self._model if self._model is not None else await self._thread.run(self._load)

    def _load(self) -> LinearModel:
        if self._model is None:
            try:
                self._model = load()
            except ImportError:
                raise NotImplementedByProvider(
                    f"Provider '{self._name}' needs the package numpy. See the list of its packages: "
                    "llama stack list-deps."
                ) from None
        return self._model


def _judge(model: LinearModel, piece: str) -> dict[str, float]:
    scores = model.scores(piece)
    return {**scores, MINORS: scores["sexual"] if mentions_minors(piece) else 0.0}


def _message(categories: list[str]) -> str:
    return f"This was found to be unsafe: {', '.join(categories)}."
