"""A rule as a pattern, and pieces of patterns that several languages share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from llama_stack.providers._shared.safety.code_finding import Rule, Severity

SQL_START: Final = r"(?i:select\s.{1,200}\sfrom|insert\s+into|update\s.{1,100}\sset|delete\s+from)\s.{0,300}"
CREDENTIAL: Final = r"(?i:\b\w{0,30}(?:password|passwd|secret|api_?key|auth_?token|private_?key))"
VALUE: Final = r"[\"'](?![\"'<$%{]|(?i:your|example|changeme|xxx|placeholder|test\b))[^\"'\s]{6,200}[\"']"


@dataclass(frozen=True, slots=True)
class PatternRule:
    """`language` is empty for what is wrong in any."""

    rule: Rule
    language: str
    regex: re.Pattern[str]


def rule(language: str, name: str, cwe: int, severity: Severity, message: str, regex: str) -> PatternRule:
    return PatternRule(Rule(f"{language or 'any'}-{name}", cwe, severity, message), language, re.compile(regex))
