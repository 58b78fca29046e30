"""Insecure patterns in the code that a model writes, each with its CWE number."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from pydantic import ConfigDict, Field, field_validator

from llama_stack.providers._shared.safety.code_finding import SEVERITIES, Rule, Severity
from llama_stack.providers._shared.safety.text_shields import TextSettings, TextShields
from llama_stack_api.api import Api
from llama_stack_api.openai.moderations import ModerationVerdict, verdict
from llama_stack_api.provider import provider
from llama_stack_api.safety import SafetyViolation, ViolationLevel

if TYPE_CHECKING:
    from llama_stack.providers._shared.safety.code_scan import Insecure

CATEGORY: Final = "insecure-code"
SHOWN_MAX: Final = 100
"""Findings of one answer."""
SCORES: Final[dict[Severity, float]] = {"low": 0.3, "medium": 0.6, "high": 0.9}


class CodeScannerConfig(TextSettings):
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
class CodeScanner(TextShields[CodeScannerConfig, "list[Insecure]"]):
    @cached_property
    def _rules(self) -> dict[str, Rule]:
        return _rules()

    async def found_in(self, texts: list[str], settings: CodeScannerConfig) -> list[Insecure]:
        from llama_stack.providers._shared.safety.code_scan import scan

        least = SEVERITIES.index(settings.min_severity)
        return [
            one
            for one in await self.thread.run(scan, texts)
            if SEVERITIES.index(self._rules[one.rule_id].severity) >= least
            and one.rule_id not in settings.excluded_rules
        ]

    def violation(self, found: list[Insecure], settings: CodeScannerConfig) -> SafetyViolation | None:
        if not found:
            return None
        return SafetyViolation(
            violation_level=ViolationLevel.ERROR, user_message=self._said(found), metadata=self._metadata(found)
        )

    def verdict(self, found: list[Insecure], settings: CodeScannerConfig) -> ModerationVerdict:
        score = max((SCORES[self._rules[one.rule_id].severity] for one in found), default=0.0)
        more = {"user_message": self._said(found), "metadata": self._metadata(found)} if found else {}
        return verdict({CATEGORY: score}, {CATEGORY: bool(found)}, ["text"], **more)

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
