"""Scans texts for insecure code."""

from __future__ import annotations

from dataclasses import dataclass

from llama_stack.providers._shared.safety.code_blocks import CodeBlock, code_blocks
from llama_stack.providers._shared.safety.code_finding import Finding, Rule
from llama_stack.providers._shared.safety.code_patterns import PATTERN_RULES, pattern_findings
from llama_stack.providers._shared.safety.code_python import PYTHON_RULES, python_findings


def all_rules() -> tuple[Rule, ...]:
    return (*PYTHON_RULES, *(one.rule for one in PATTERN_RULES))


@dataclass(frozen=True, slots=True, order=True)
class Insecure:
    """A rule broken at a line of a text (from 1)."""

    text: int
    line: int
    rule_id: str
    language: str


def scan(texts: list[str]) -> list[Insecure]:
    found = {
        Insecure(number, block.first_line + finding.line - 1, finding.rule.id, block.language)
        for number, text in enumerate(texts)
        for block in code_blocks(text)
        for finding in _findings(block)
    }
    return sorted(found)


def _findings(block: CodeBlock) -> list[Finding]:
    if block.language in ("", "python") and (parsed := python_findings(block.code)) is not None:
        secrets = [one for one in pattern_findings(block.code, "any") if one.rule.cwe != 798 or "cloud" in one.rule.id]
        return parsed + secrets
    return pattern_findings(block.code, block.language)
