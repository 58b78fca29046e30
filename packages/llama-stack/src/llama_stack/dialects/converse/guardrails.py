"""What a guardrail's trace says, without what it matched: that may be what it is to keep secret."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from llama_stack.dialects.chat.values import Json, mapping, objects, text_or

_LISTS: Final = (
    ("contentPolicy", "filters", "type"),
    ("topicPolicy", "topics", "name"),
    ("wordPolicy", "managedWordLists", "type"),
    ("wordPolicy", "customWords", ""),
    ("sensitiveInformationPolicy", "piiEntities", "type"),
    ("sensitiveInformationPolicy", "regexes", "name"),
    ("contextualGroundingPolicy", "filters", "type"),
)
"""Policy, its list of findings, and the member that names one; a list without one names itself."""


def guarded(trace: Json) -> Json:
    """`action_reason`, and for `input` and `output` the names of what was found, by what was done about it."""
    guardrail = mapping(trace.get("guardrail"))
    found: Json = {}
    if reason := text_or(guardrail.get("actionReason")):
        found["action_reason"] = reason
    for side, assessments in _sides(guardrail):
        for name, action in _findings(assessments):
            named = found.setdefault(side, {}).setdefault(action.lower(), [])
            if name not in named:
                named.append(name)
    return found


def is_masked(trace: Json) -> bool:
    """Whether the guardrail masked what it found and blocked nothing."""
    guardrail = mapping(trace.get("guardrail"))
    actions = [action for _, assessments in _sides(guardrail) for _, action in _findings(assessments)]
    return "ANONYMIZED" in actions and "BLOCKED" not in actions


def _sides(guardrail: Json) -> Iterator[tuple[str, list[Json]]]:
    yield "input", objects(list(mapping(guardrail.get("inputAssessment")).values()))
    outputs = mapping(guardrail.get("outputAssessments")).values()
    yield "output", [each for listed in outputs for each in objects(listed)]


def _findings(assessments: list[Json]) -> Iterator[tuple[str, str]]:
    for assessment in assessments:
        for policy, listed, named in _LISTS:
            for finding in objects(mapping(assessment.get(policy)).get(listed)):
                action = text_or(finding.get("action"))
                if action not in ("", "NONE"):
                    yield text_or(finding.get(named), listed), action
