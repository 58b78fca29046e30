"""The config of `inline::llama-cpp`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from llama_stack.providers._shared.gguf_source import EMBEDDED, HUB_PREFIX, HubReference, default_id
from llama_stack_api.ports.inference import ModelType

EMBEDDED_ID = "smollm2-135m-instruct"
EMBEDDED_SYSTEM_PROMPT = "You are a helpful AI assistant."
"""Its template's own ("… named SmolLM, trained by Hugging Face") sways so small a model: asked greedily for the capital
of France it then answers in French verse. With this one it says Paris, and by a margin that the rounding of another
batch or of cached keys does not turn: without "AI" it did."""
EMBEDDED_TEMPERATURE = 0.2
"""What its authors recommend; at llama.cpp's 0.8 it rambles."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,199}")


class GGUFModel(BaseModel):
    """One model file and how it is run."""

    model_config = ConfigDict(extra="forbid", defer_build=True, protected_namespaces=())

    model: str = EMBEDDED
    """`embedded`, the path of a GGUF file, `hf:owner/name/file.gguf`, or `hf:owner/name:QUANT`."""
    id: str = ""
    """The provider_model_id; the file's name if it is not given."""
    model_type: Literal[ModelType.llm, ModelType.embedding] = ModelType.llm
    context_length: int = Field(default=4096, ge=256, le=1_048_576)
    """Tokens that one request may use, prompt and answer together."""
    parallel: int = Field(default=2, ge=1, le=64)
    """Requests that are computed at a time; each has a context of its own, so memory grows with it."""
    queue_max: int = Field(default=32, ge=0, le=4096)
    """Requests that wait for a slot, over all workers of this server."""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """CPU threads; None: half of the cores."""
    gpu_layers: int = Field(default=-1, ge=-1)
    """Layers to put on a GPU; -1: as many as fit."""
    chat_template: Path | None = None
    """A Jinja file to use in the place of the model's own template, for instance one with tools."""
    system_prompt: str | None = None
    """Stands before a conversation that has no system or developer message."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """For requests that say none; None: llama.cpp's default."""
    embedding_dimension: int | None = Field(default=None, ge=1)
    """Of an embedding model, as it is listed."""
    pooling: Literal["none", "mean", "cls", "last"] | None = None
    """Of an embedding model; None: what the file says."""

    @field_validator("model")
    @classmethod
    def _known_form(cls, model: str) -> str:
        if model.startswith(HUB_PREFIX):
            HubReference.parse(model)
        return model

    @model_validator(mode="after")
    def _named(self) -> Self:
        embedded = self.model == EMBEDDED
        self.id = self.id or (EMBEDDED_ID if embedded else default_id(self.model))
        if not _ID.fullmatch(self.id):
            raise ValueError(f"id {self.id!r} may hold letters, digits and . _ / : - only; set `id`")
        if embedded and "system_prompt" not in self.model_fields_set:
            self.system_prompt = EMBEDDED_SYSTEM_PROMPT
        if embedded and self.temperature is None:
            self.temperature = EMBEDDED_TEMPERATURE
        return self


class LlamaCppConfig(GGUFModel):
    """One model by the fields of `GGUFModel`, or several under `models`; then those fields must not be set."""

    # An unknown key is the server's to report, as a warning.
    model_config = ConfigDict(extra="allow", defer_build=True, protected_namespaces=())

    models: list[GGUFModel] = Field(default_factory=list)
    preload: bool = False
    """Load at start rather than at the first request."""
    startup_timeout_s: float = Field(default=120.0, gt=0)
    """How long a request waits for a model to load."""
    request_timeout_s: float = Field(default=600.0, gt=0)
    """How long a request may wait for its first token, and for each further one."""
    restarts_max: int = Field(default=5, ge=0)
    """Restarts in a row of a process that keeps dying, before requests are refused for ten seconds."""
    prompt_cache_mib: int = Field(default=256, ge=0)
    """Memory for the state of earlier prompts."""
    log_level: Literal["error", "warning", "info", "debug"] = "info"
    """What the log file holds. `debug` writes prompts."""
    log_bytes_max: int = Field(default=4 * 1024 * 1024, ge=64 * 1024)
    """Size at which the log file is replaced; one old file is kept."""
    hf_token: SecretStr | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_way_to_say_it(cls, said: Any) -> Any:
        if isinstance(said, dict) and said.get("models") and (both := said.keys() & GGUFModel.model_fields.keys()):
            raise ValueError(f"{', '.join(sorted(both))}: belongs to the entries of `models` when there are any")
        return said

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        ids = [model.id for model in self.served]
        if len(set(ids)) != len(ids):
            raise ValueError(f"`models` has an id twice: {', '.join(ids)}")
        return self

    @property
    def served(self) -> list[GGUFModel]:
        return self.models or [self]
