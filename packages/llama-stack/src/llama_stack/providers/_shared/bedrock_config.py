"""The settings of Amazon Bedrock's models."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, SecretStr, model_validator

from llama_stack.providers._shared.aws import AwsConfig
from llama_stack.providers._shared.messages_upstream_chat import ChatByMessagesConfig


class BedrockConfig(AwsConfig, ChatByMessagesConfig):
    base_url: str = ""
    """Where models are called. Empty: the region's public address."""
    control_url: str = ""
    """Where models are listed. Empty: the region's public address, or `base_url` if that is set."""
    api_key: SecretStr | None = None
    """An API key of Bedrock's (`AWS_BEARER_TOKEN_BEDROCK`). Without it requests are signed with AWS credentials."""
    converse_models: list[str] = Field(default_factory=list, max_length=256)
    """Patterns (`*` for any text) of models that are called by Converse, whatever their vendor: Claude among them, or
    models of the account's own whose name says nothing of a vendor (`arn:*:provisioned-model/*`)."""
    guardrail_identifier: str | None = None
    """A guardrail, by its id or ARN, that judges every request and answer of every chat model."""
    guardrail_version: str = Field(default="DRAFT", pattern=r"^([1-9][0-9]{0,7}|DRAFT)$")
    guardrail_trace: Literal["enabled", "disabled", "enabled_full"] = "enabled"
    """How much Bedrock tells of what a guardrail found. What it told is in `guardrail` of a chat completion's choice:
    names of findings, never what was matched."""
    allow_cloud_files: bool = False
    """Whether a request may name files in S3 (`s3://…`), which the model reads with the configured credentials. With a
    key of its own it always may."""
    total_max_attempts: Any = None
    """No effect, kept for compatibility: how often a call is tried is set by `server.routing`."""
    retry_mode: Any = None
    """No effect, as above."""

    @model_validator(mode="before")
    @classmethod
    def _former_timeouts(cls, data: Any) -> Any:
        """`connect_timeout` and `read_timeout` of older run configs."""
        if not isinstance(data, dict):
            return data
        waits = {name: data[f"{name}_timeout"] for name in ("connect", "read") if data.get(f"{name}_timeout")}
        kept = {name: value for name, value in data.items() if name not in ("connect_timeout", "read_timeout")}
        return {"timeout": waits, **kept} if waits else kept

    @model_validator(mode="after")
    def _guardrail_is_whole(self) -> Self:
        if self.guardrail_identifier is None and "guardrail_version" in self.model_fields_set:
            raise ValueError("guardrail_version needs guardrail_identifier: the guardrail that it is a version of")
        return self

    @property
    def guardrail(self) -> dict[str, str] | None:
        """As Converse takes it."""
        if self.guardrail_identifier is None:
            return None
        return {
            "guardrailIdentifier": self.guardrail_identifier,
            "guardrailVersion": self.guardrail_version,
            "trace": self.guardrail_trace,
        }
