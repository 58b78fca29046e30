"""Prompt Guard: jailbreaks and injected instructions, found by a small classifier inside this server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from llama_stack.providers._shared.embedding_worker import Worker
from llama_stack.providers._shared.safety.inputs import text_of, texts_to_moderate
from llama_stack.providers._shared.shields import KnownShields, blocked, passed
from llama_stack.providers._shared.text_classifier import BATCH_MAX, ClassifierUnavailable, TextClassifier
from llama_stack_api.api import Api
from llama_stack_api.errors import NotImplementedByProvider
from llama_stack_api.openai.moderations import CreateModerationRequest, CreateModerationResponse, verdict
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider
from llama_stack_api.safety import RunShieldRequest, RunShieldResponse

BENIGN: Final = frozenset({"benign", "safe", "label_0", "negative", "legit"})
CATEGORY: Final[dict[str, str]] = {"injection": "prompt-injection", "jailbreak": "jailbreak"}
NOT_JUDGED: Final = frozenset({"assistant", "system", "developer"})
"""Roles whose words are the operator's or the model's own."""


class PromptGuardConfig(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True, coerce_numbers_to_str=True)

    model: str = "meta-llama/Llama-Prompt-Guard-2-22M"
    """A directory with model.onnx, tokenizer.json and config.json, or a hub repository that has them."""
    guard_type: Literal["injection", "jailbreak"] = "injection"
    """`injection`: everything that is not benign; `jailbreak`: what the model calls a jailbreak, or, if it knows only
    two labels, malicious."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability from which on it is a violation."""
    hf_token: SecretStr | None = None
    threads: int | None = Field(default=None, ge=1, le=256)
    """None: half of the cores, at most four."""
    queue_max: int = Field(default=64, ge=1)
    """Requests at work or waiting in one worker process."""


@provider(
    api=Api.safety,
    type="inline::prompt-guard",
    description="Jailbreaks and injected instructions, by a model of the Prompt Guard family (or any other text "
    "classifier in ONNX) on onnxruntime: from a directory, or the hub.",
    config=PromptGuardConfig,
    sample={"model": "${env.PROMPT_GUARD_MODEL:=meta-llama/Llama-Prompt-Guard-2-22M}", "guard_type": "injection"},
    turned_on_by="PROMPT_GUARD_MODEL",
    pip_packages=("onnxruntime>=1.20,<2", "tokenizers>=0.21,<1", "numpy>=2,<3", "huggingface-hub>=0.30,<3"),
)
class PromptGuard(KnownShields):
    def __init__(self, config: PromptGuardConfig, context: ProviderContext) -> None:
        super().__init__()
        self.config = config
        self.name = context.provider_id
        self._worker = Worker(context.provider_id, config.queue_max)
        self._model: TextClassifier | None = None

    async def close(self) -> None:
        self._worker.close()
        self._model = None

    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        shield = self.shield(request.shield_id)
        threshold = float((shield.params or {}).get("threshold", self.config.threshold))
        texts = [text_of(message) for message in request.messages if message.role not in NOT_JUDGED]
        scores = await self._scores([text for text in texts if text])
        worst = max(scores, default=0.0)
        if worst < threshold:
            return passed()
        category = CATEGORY[self.config.guard_type]
        return blocked(
            "This content is not allowed here: it tries to change what the model was told to do.",
            categories=[category],
            scores={category: worst},
        )

    async def moderate(self, request: CreateModerationRequest, call: Call) -> CreateModerationResponse:
        shield = self.shield(request.model)
        threshold = float((shield.params or {}).get("threshold", self.config.threshold))
        category = CATEGORY[self.config.guard_type]
        scores = await self._scores(texts_to_moderate(request))
        results = [verdict({category: score}, {category: score >= threshold}, ["text"]) for score in scores]
        return CreateModerationResponse(id="", model=self.config.model, results=results)

    async def _scores(self, texts: Sequence[str]) -> list[float]:
        """The highest probability of each text's windows, batch by batch, so that others have their turn between."""
        if not texts:
            return []
        with self._worker.place():
            model = await self._worker.run(self._load)
            found = [0.0] * len(texts)
            wanted = _wanted(model.labels, self.config.guard_type)
            for index, text in enumerate(texts):
                windows = await self._worker.run(model.windows, text)
                for start in range(0, len(windows), BATCH_MAX):
                    rows = await self._worker.run(model.probabilities, windows[start : start + BATCH_MAX])
                    found[index] = max(found[index], *(sum(row[label] for label in wanted) for row in rows))
            return found

    def _load(self) -> TextClassifier:
        """In the worker thread, at the first request."""
        if self._model is None:
            token = self.config.hf_token.get_secret_value() if self.config.hf_token else None
            try:
                self._model = TextClassifier(self.config.model, token=token, threads=self.config.threads)
            except (ImportError, ClassifierUnavailable) as error:
                raise NotImplementedByProvider(f"Provider '{self.name}' cannot load its model: {error}.") from None
        return self._model


def _wanted(labels: Sequence[str], guard_type: str) -> list[int]:
    """The indices of the labels that count. One that is not benign is the judge of both, where there are only two."""
    harmful = [index for index, label in enumerate(labels) if label.lower() not in BENIGN]
    if guard_type == "jailbreak" and len(harmful) > 1:
        named = [index for index in harmful if "jailbreak" in labels[index].lower()]
        return named or harmful
    return harmful
