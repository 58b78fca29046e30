"""Finds insecure code by patterns, line by line."""

from __future__ import annotations

from typing import Final

from llama_stack.providers._shared.safety.code_finding import Finding
from llama_stack.providers._shared.safety.code_rules_compiled import COMPILED_RULES
from llama_stack.providers._shared.safety.code_rules_scripts import SCRIPT_RULES

LINE_CHARS_MAX: Final = 2000
"""What is read of a line; patterns take at most quadratic time in it, most linear."""
FINDINGS_MAX: Final = 1000
PATTERN_RULES: Final = (*COMPILED_RULES, *SCRIPT_RULES)
LANGUAGES: Final = frozenset(rule.language for rule in PATTERN_RULES) - {""}
_COMMENTS: Final = {
    "python": ("#",), "ruby": ("#",), "shell": ("#",), "sql": ("--",), "php": ("//", "#", "*", "/*"),
    **dict.fromkeys(("c", "javascript", "java", "go"), ("//", "*", "/*")),
}  # fmt: skip


def pattern_findings(code: str, language: str) -> list[Finding]:
    """With no language every rule is asked: the text is code, but nobody says of which kind."""
    known = language in LANGUAGES
    asked = [one for one in PATTERN_RULES if one.language in ("", language) or not language]
    comments = _COMMENTS[language] if known else ("//", "#!", "# ")
    findings: list[Finding] = []
    for number, line in enumerate(code.splitlines(), 1):
        line = line[:LINE_CHARS_MAX]
        if line.lstrip().startswith(comments):
            continue
        findings += [Finding(one.rule, number) for one in asked if one.regex.search(line)]
        if len(findings) >= FINDINGS_MAX:
            break
    return findings[:FINDINGS_MAX]
