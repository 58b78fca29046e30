"""Databricks Model Serving: the models are the serving endpoints of a workspace."""

from __future__ import annotations

from typing import Any

from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack_api.api import Api
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import provider

_TASKS = {
    "llm/v1/chat": ModelType.llm,
    "llm/v1/completions": ModelType.llm,
    "llm/v1/embeddings": ModelType.embedding,
}


class DatabricksConfig(OpenAICompatibleConfig):
    base_url: str
    """The workspace: `https://<workspace>.cloud.databricks.com`, with or without `/serving-endpoints`."""


@provider(
    api=Api.inference,
    type="remote::databricks",
    description="Databricks Model Serving: the ready chat, completion and embedding endpoints of a workspace.",
    config=DatabricksConfig,
    sample={"base_url": "${env.DATABRICKS_HOST:=}", "api_key": "${env.DATABRICKS_TOKEN:=}"},
    turned_on_by="DATABRICKS_HOST",
    data_keys={"databricks_api_token": "api_key"},
)
class Databricks(OpenAICompatible):
    quirks = Quirks(
        root="/serving-endpoints",
        rename={"max_completion_tokens": "max_tokens"},
        embedding_models={
            "databricks-gte-large-en": 1024,
            "databricks-bge-large-en": 1024,
            "databricks-qwen3-embedding-0-6b": 1024,
        },
    )

    def url(self, path: str, call: Call, model: str | None = None) -> str:
        if path == "/models":
            return self.base_url(call).removesuffix("/serving-endpoints") + "/api/2.0/serving-endpoints"
        return super().url(path, call, model)

    def listed_items(self, listed: Any) -> Any:
        return (listed.get("endpoints") or []) if isinstance(listed, dict) else None

    def listed_model(self, item: dict[str, Any]) -> ProviderModel | None:
        return super().listed_model({**item, "id": item.get("name")})

    def model_type(self, item: dict[str, Any]) -> ModelType | None:
        ready = (item.get("state") or {}).get("ready", "READY") == "READY"
        return _TASKS.get(str(item.get("task"))) if ready else None
