"""Guardrails of Amazon Bedrock.

Wire format: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ApplyGuardrail.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, Final
from urllib.parse import quote

import msgspec
from pydantic import model_validator

from llama_stack.providers._shared.aws import AwsConfig, AwsSigner
from llama_stack.providers._shared.keyed_service import KeyedService, ServiceConfig
from llama_stack.providers._shared.safety.inputs import texts_of_messages
from llama_stack.providers._shared.shields import KnownShields, blocked, passed
from llama_stack_api.api import Api
from llama_stack_api.errors import InvalidRequest, ProviderError
from llama_stack_api.openai.chat_messages import Message
from llama_stack_api.principal import Call
from llama_stack_api.provider import HealthResponse, HealthStatus, ProviderContext, provider
from llama_stack_api.safety import RunShieldRequest, RunShieldResponse, SafetyViolation, ViolationLevel

SERVICE: Final = "bedrock"
DRAFT: Final = "DRAFT"
_POLICIES: Final[Mapping[str, tuple[str, str]]] = {
    "contentPolicy": ("filters", "type"),
    "topicPolicy": ("topics", "name"),
    "wordPolicy": ("managedWordLists", "type"),
    "sensitiveInformationPolicy": ("piiEntities", "type"),
    "contextualGroundingPolicy": ("filters", "type"),
}
"""What each policy's findings are listed as, and which of their members names them. What was matched stays out."""


class BedrockGuardrailsConfig(AwsConfig, ServiceConfig):
    base_url: str = ""
    """Empty: the region's own address."""

    @model_validator(mode="before")
    @classmethod
    def _regional(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        said = {key: value for key, value in data.items() if value not in (None, "")}
        said.setdefault("base_url", f"https://bedrock-runtime.{said.get('region_name', 'us-east-1')}.amazonaws.com")
        return said


@provider(
    api=Api.safety,
    type="remote::bedrock",
    description="Guardrails of Amazon Bedrock. A shield's provider_shield_id is the guardrail's id or ARN, its params "
    "may say a guardrailVersion (DRAFT without).",
    config=BedrockGuardrailsConfig,
    sample={"region_name": "${env.AWS_DEFAULT_REGION:=us-east-1}"},
    turned_on_by="AWS_DEFAULT_REGION",
    pip_packages=("boto3>=1.40,<2",),
)
class BedrockGuardrails(KeyedService, KnownShields):
    def __init__(self, config: BedrockGuardrailsConfig, context: ProviderContext) -> None:
        KeyedService.__init__(self, config, context)
        KnownShields.__init__(self)
        self._signer = AwsSigner(config, context.provider_id)

    async def health(self) -> HealthResponse:
        return HealthResponse(status=HealthStatus.NOT_IMPLEMENTED, message="not asked: each question costs")

    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        """A guardrail judges what comes in and what goes out by different rules, so messages are asked about in turn,
        as they are the one or the other."""
        shield = self.shield(request.shield_id)
        if not shield.provider_resource_id:
            raise InvalidRequest(f"The shield {request.shield_id!r} names no guardrail: set its provider_shield_id.")
        version = str((shield.params or {}).get("guardrailVersion", DRAFT))
        identifier = quote(shield.provider_resource_id, safe=":")
        url = f"{self.base_url}/guardrail/{identifier}/version/{quote(version, safe='')}/apply"
        left: list[str] = []
        categories: set[str] = set()
        for source, messages in groupby(request.messages, _source):
            texts = texts_of_messages(messages)
            left += texts
            if not texts:
                continue
            found = await self._judged(url, source, texts, call)
            if found.violation is None:
                continue
            if found.violation.violation_level == ViolationLevel.ERROR:
                return found
            left[len(left) - len(texts) :] = found.violation.metadata["redacted_texts"]
            categories |= set(found.violation.metadata["categories"])
        return _masked(left, categories) if categories else passed()

    async def _judged(self, url: str, source: str, texts: list[str], call: Call) -> RunShieldResponse:
        content = [{"text": {"text": text}} for text in texts]
        found = _meaning(await self._apply(url, {"source": source, "content": content}, call), self.name)
        if found.violation is None or found.violation.violation_level == ViolationLevel.ERROR:
            return found
        masked = found.violation.metadata["redacted_texts"]
        # Of texts that were joined, nobody knows which is which.
        return found if len(masked) == len(texts) else blocked(categories=found.violation.metadata["categories"])

    async def _apply(self, url: str, body: dict[str, Any], call: Call) -> dict[str, Any]:
        data = msgspec.json.encode(body)
        headers = await self._signer.signed("POST", url, {"Content-Type": "application/json"}, data, service=SERVICE)
        return await self.read_json(await self.send("POST", url, headers, data, call))


def _source(message: Message) -> str:
    return "OUTPUT" if message.role == "assistant" else "INPUT"


def _meaning(answer: Mapping[str, Any], name: str) -> RunShieldResponse:
    match answer.get("action"):
        case "NONE":
            return passed()
        case "GUARDRAIL_INTERVENED":
            pass
        case _:
            raise ProviderError(f"Provider '{name}' answered without saying whether the guardrail intervened.")
    outputs = [
        output["text"] for output in answer.get("outputs") or () if isinstance(output, dict) and "text" in output
    ]
    findings = list(_findings(answer))
    categories = sorted({named for named, _ in findings})
    if findings and all(action == "ANONYMIZED" for _, action in findings):
        return _masked(outputs, set(categories))
    return blocked(outputs[0] if outputs else None, categories=categories)


def _masked(texts: list[str], categories: set[str]) -> RunShieldResponse:
    return RunShieldResponse(
        violation=SafetyViolation(
            violation_level=ViolationLevel.WARN,
            user_message="Personal data was masked.",
            metadata={"categories": sorted(categories), "redacted_texts": texts, "redacted": "\n".join(texts)},
        )
    )


def _findings(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and action of each."""
    for assessment in answer.get("assessments") or ():
        for policy, (listed, named) in _POLICIES.items():
            for finding in (assessment.get(policy) or {}).get(listed) or ():
                yield str(finding.get(named) or policy), str(finding.get("action") or "")
        for policy, lists in (("wordPolicy", "customWords"), ("sensitiveInformationPolicy", "regexes")):
            for finding in (assessment.get(policy) or {}).get(lists) or ():
                yield str(finding.get("name") or lists), str(finding.get("action") or "")
