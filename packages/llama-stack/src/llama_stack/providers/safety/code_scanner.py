"""Insecure patterns in the code that a model writes, each with its CWE number."""

from __future__ import annotations

import uuid
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from llama_stack.providers._shared.safety.code_finding import SEVERITIES, Rule, Severity
from llama_stack.providers._shared.safety.inputs import check_size, inputs_of, texts_of_messages
from llama_stack.providers._shared.safety.shield_settings import ShieldSettings
from llama_stack.providers._shared.threads import Threads
from llama_stack_api.api import Api
from llama_stack_api.openai.moderations import CreateModerationRequest, CreateModerationResponse, verdict
from llama_stack_api.principal import Call
from llama_stack_api.provider import HealthResponse, HealthStatus, ProviderContext, provider
from llama_stack_api.safety import RunShieldRequest, RunShieldResponse, SafetyViolation, ViolationLevel
from llama_stack_api.shields import Shield

if TYPE_CHECKING:
    from llama_stack.providers._shared.safety.code_scan import Insecure

CATEGORY: Final = "insecure-code"
SHOWN_MAX: Final = 100
"""Findings of one answer."""
SCORES: Final[dict[Severity, float]] = {"low": 0.3, "medium": 0.6, "high": 0.9}


class CodeScannerConfig(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True)

    min_severity: Severity = "medium"
    """What is less is not reported."""
    excluded_rules: list[str] = Field(default_factory=list)
    """Ids of rules, as docs/safety-providers.md lists them: `[python-weak-hash]`."""
    chars_max: int = Field(default=1_000_000, ge=1)
    """Of all texts of one request."""

    @field_validator("excluded_rules")
    @classmethod
    def _known(cls, ids: list[str]) -> list[str]:
        if ids and (unknown := set(ids) - set(_rules())):
            raise ValueError(f"there is no rule {', '.join(sorted(unknown))}")
        return ids


@provider(
    api=Api.safety,
    type="inline::code-scanner",
    description="Insecure patterns in code, with CWE numbers: Python by its syntax tree, C and C++, JavaScript, Java, "
    "Go, PHP, Ruby, shell and SQL by patterns. For the output of models; prose is left alone.",
    config=CodeScannerConfig,
    sample={"min_severity": "medium"},
)
class CodeScanner:
    def __init__(self, config: CodeScannerConfig, context: ProviderContext) -> None:
        self._name = context.provider_id
        self._settings = ShieldSettings(config)
        self._thread = Threads(context.provider_id, threads_max=1)

    async def open(self) -> None:
        self._thread.open()

    @cached_property
    def _rules(self) -> dict[str, Rule]:
        return _rules()

    async def close(self) -> None:
        await self._thread.close()

    async def register_shield(self, shield: Shield) -> None:
        self._settings.register(shield)

    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        found = await self._scan(texts_of_messages(request.messages), self._settings.of(request.shield_id))
        if not found:
            return RunShieldResponse()
        return RunShieldResponse(
            violation=SafetyViolation(
                violation_level=ViolationLevel.ERROR, user_message=self._said(found), metadata=self._metadata(found)
            )
        )

    async def moderate(self, request: CreateModerationRequest, call: Call) -> CreateModerationResponse:
        settings = self._settings.of(request.model)
        inputs = inputs_of(request)
        check_size([text for texts in inputs for text in texts], settings.chars_max, self._name)
        results = []
        for texts in inputs:
            found = await self._scan(texts, settings)
            score = max((SCORES[self._rules[one.rule_id].severity] for one in found), default=0.0)
            more = {"user_message": self._said(found), "metadata": self._metadata(found)} if found else {}
            results.append(verdict({CATEGORY: score}, {CATEGORY: bool(found)}, ["text"], **more))
        return CreateModerationResponse(
            id=f"modr-{uuid.uuid4().hex}", model=request.model or self._name, results=results
        )

    async def health(self) -> HealthResponse:
        return HealthResponse(status=HealthStatus.OK)

    async def _scan(self, texts: list[str], settings: CodeScannerConfig) -> list[Insecure]:
        from llama_stack.providers._shared.safety.code_scan import scan

        check_size(texts, settings.chars_max, self._name)
        least = SEVERITIES.index(settings.min_severity)
        return [
            one
            for one in await self._thread.run(scan, texts)
            if SEVERITIES.index(self._rules[one.rule_id].severity) >= least
            and one.rule_id not in settings.excluded_rules
        ]

    def _metadata(self, found: list[Insecure]) -> dict[str, Any]:
        rules = [self._rules[rule_id] for rule_id in dict.fromkeys(one.rule_id for one in found)]
        return {
            "categories": [CATEGORY],
            "rules": [rule.id for rule in rules],
            "cwes": sorted({f"CWE-{rule.cwe}" for rule in rules}),
            "findings": [self._finding(one) for one in found[:SHOWN_MAX]],
        }

    def _finding(self, one: Insecure) -> dict[str, Any]:
        rule = self._rules[one.rule_id]
        return {
            "rule": rule.id,
            "cwe": f"CWE-{rule.cwe}",
            "severity": rule.severity,
            "language": one.language or None,
            "text": one.text,
            "line": one.line,
            "message": rule.message,
        }

    def _said(self, found: list[Insecure]) -> str:
        rules: list[Rule] = [self._rules[rule_id] for rule_id in dict.fromkeys(one.rule_id for one in found)]
        return "This holds insecure code: " + " ".join(f"[CWE-{rule.cwe}] {rule.message}" for rule in rules[:5])


def _rules() -> dict[str, Rule]:
    """By id. Their patterns are compiled when they are imported, which no start should wait for."""
    from llama_stack.providers._shared.safety.code_scan import all_rules

    return {rule.id: rule for rule in all_rules()}
