"""The grammar of `${env.…}` in one string.

    ${env.NAME}             the variable; an error if it is unset or empty
    ${env.NAME:=default}    the variable, or `default` (which may be empty and cannot contain `}`)
    ${env.NAME:+value}      `value` if the variable is set, else nothing

Names are upper-case letters, digits and underscores; anything else stays as it is written. Several references may stand
in one string, and what they bring in is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from llama_stack.config.paths import expand_home

Scalar = str | int | float | bool | None

REFERENCE = re.compile(r"\$\{env\.([A-Z0-9_]+)(?::([=+])([^}]*))?\}")
"""Its groups: the name, then `=` or `+` and what stands behind it."""
_INTEGER = re.compile(r"-?[0-9]+")
_DECIMAL = re.compile(r"-?[0-9]+\.[0-9]+")
_INTEGER_DIGITS_MAX = 18
_MARKER = "${env."


class MissingVariable(Exception):
    """A required variable is unset or empty."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """Replace all references in `text`; `MissingVariable` for the first required one without a value."""

    def replacement(match: re.Match[str]) -> str:
        name, operator, operand = match.groups()
        value = environ.get(name) or ""
        if operator == "=":
            return value or str(operand)
        if operator == "+":
            return str(operand) if value else ""
        if not value:
            raise MissingVariable(name)
        return value

    return REFERENCE.sub(replacement, text)


def if_set(text: str) -> str:
    """The text as it is where every variable that turns something on is set: `a` for `${env.X:+a}`."""
    return REFERENCE.sub(lambda match: match[3] or "", text)


def turned_on_by(text: str) -> tuple[str, ...]:
    """The variables without which the text, or a part of it, is left out."""
    return tuple(name for name, operator, _ in REFERENCE.findall(text) if operator == "+")


def convert(text: str) -> Scalar:
    """The value that `text` plainly is: null if empty, a bool, a number, else the text.

    A number converts only if it would be written back the same, so that `007`, `1.10` or a long key of digits keep
    every character.
    """
    if text == "":
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text) and len(text) <= _INTEGER_DIGITS_MAX:
        return int(text) if str(int(text)) == text else text
    if _DECIMAL.fullmatch(text):
        return float(text) if str(float(text)) == text else text
    return text


def expand_text(text: str, environ: Mapping[str, str], home: Path) -> Scalar:
    """Substitute and convert, with a leading `~` as the home directory; a text without references stays as it is."""
    if REFERENCE.search(text) is None:
        return text
    value = convert(substitute(text, environ))
    return expand_home(value, home) if isinstance(value, str) else value


def has_malformed_reference(text: str) -> bool:
    """True if `${env.` occurs where it is no reference: a lower-case name, a missing brace, `:-` for `:=`, a reference
    within the default of another."""
    return _MARKER in REFERENCE.sub(lambda match: match[3] or "", text)
