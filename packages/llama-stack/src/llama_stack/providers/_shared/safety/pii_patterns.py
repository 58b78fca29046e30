"""Personal data and secrets, as they look: a pattern per form, and a check of what it finds.

No pattern takes more than linear time: repetitions are bounded, or begin only where a word does.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from llama_stack.providers._shared.safety import checksums

_SEPARATORS: Final = re.compile(r"[ .\-/()]")
_CONTEXT_CHARS: Final = 48
"""Before a number that is told from others by what it is called."""
ENTROPY_MIN: Final = 3.0
"""Bits a character: below, what stands behind `password =` is a placeholder."""


def _always(_: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Pattern:
    """One form of an entity. `check` is asked about what was found; `context`, words one of which must
    stand shortly before it. Is there a group `value`, then that is what was found, not the whole match."""

    entity: str
    regex: re.Pattern[str]
    score: float
    check: Callable[[str], bool] = _always
    context: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True, order=True)
class Found:
    start: int
    end: int
    entity: str
    score: float


def entropy(text: str) -> float:
    """Bits a character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def _ip_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_loopback)


def _jwt(text: str) -> bool:
    head = text.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError):
        return False
    return isinstance(header, dict) and "alg" in header


def _secret(text: str) -> bool:
    return entropy(text) >= ENTROPY_MIN and not text.startswith(("${", "<", "{{", "$("))


def _mixed_secret(text: str) -> bool:
    """Words of a program have no digits in between: `sk-learn-contrib`, `token: get_token`."""
    mixed = any(letter.isdigit() for letter in text) and any(letter.isalpha() for letter in text)
    return mixed and _secret(text)


def _context(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{words})\b", re.IGNORECASE)


def _pattern(entity: str, regex: str, score: float, check: Callable[[str], bool] = _always, words: str = "") -> Pattern:
    return Pattern(entity, re.compile(regex, re.ASCII), score, check, _context(words) if words else None)


def _number(entity: str, regex: str, score: float, check: Callable[[str], bool], words: str = "") -> Pattern:
    """A number with check digits, which `check` gets without what sets them apart."""
    return _pattern(entity, regex, score, lambda text: check(_SEPARATORS.sub("", text)), words)


def _key(regex: str, check: Callable[[str], bool] = _always) -> Pattern:
    """A key with a prefix of its own, standing by itself."""
    return _pattern("API_KEY", rf"(?<![A-Za-z0-9_-])(?:{regex})(?![A-Za-z0-9_-])", 1.0, check)


PATTERNS: Final = (
    _pattern(
        "EMAIL",
        r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_%+](?:[A-Za-z0-9._%+-]{0,63})@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?!\w)",
        1.0,
    ),
    _pattern("PHONE", r"(?<![\w+])\+[1-9](?:[ .\-/()]{0,2}\d){7,14}(?!\d)", 0.9),
    _pattern("PHONE", r"(?<![\w.-])\(?[2-9]\d{2}\)?[ .-]{1,2}[2-9]\d{2}[ .-]\d{4}(?![\w-])", 0.7),
    _pattern("PHONE", r"(?<![\w.,/-])\(?0\d{1,4}\)?[ /-]{1,2}\d{3,4}(?:[ -]?\d{2,4}){1,2}(?![\w-])", 0.6),
    _number("US_SSN", r"(?<![\w-])\d{3}(?P<between>[ -])\d{2}(?P=between)\d{4}(?![\w-])", 0.9, checksums.us_ssn),
    _number("US_SSN", r"(?<![\w.-])\d{9}(?![\w.-])", 0.6, checksums.us_ssn, r"ssn|social security(?: number)?"),
    _pattern("IP_ADDRESS", r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)", 0.7, _ip_address),
    _pattern("IP_ADDRESS", r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])", 0.7, _ip_address),
    _key(r"sk-(?:ant-|proj-|or-)?[A-Za-z0-9_-]{20,250}", _mixed_secret),
    _key(r"(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{22,255})"),
    _key(r"(?:AKIA|ASIA)[A-Z2-7]{16}"),
    _key(r"xox[abeoprs]-[A-Za-z0-9-]{10,250}"),
    _key(r"AIza[A-Za-z0-9_-]{35}"),
    _key(r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,250}"),
    _key(r"(?:glpat-|hf_|npm_|gsk_|dop_v1_|shpat_)[A-Za-z0-9_-]{20,250}", _mixed_secret),
    _key(r"pypi-AgE[A-Za-z0-9_-]{40,500}"),
    _key(r"SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}"),
    _pattern(
        "API_KEY",
        r"(?i:\b(?:api|secret|access|auth|private)?[_ -]?(?:key|token|secret|password|passwd))[\"']?\s{0,4}[:=]\s{0,4}"
        r"[\"']?(?P<value>[A-Za-z0-9+/_.!@#%^&*~-]{8,200})",
        0.7,
        _mixed_secret,
    ),
    _pattern("JWT", r"(?<![A-Za-z0-9_-])eyJ[\w-]{8,4000}\.eyJ[\w-]{4,8000}\.[\w-]{8,4000}", 1.0, _jwt),
    _pattern(
        "PRIVATE_KEY",
        r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=\s:,]|-(?!-)){0,16000}"
        r"(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----)?",
        1.0,
    ),
    _number("NATIONAL_ID", r"(?<![\w.-])\d{3}\.\d{3}\.\d{3}-\d{2}(?![\w-])", 1.0, checksums.cpf),
    _number("NATIONAL_ID", r"(?<!\w)(?:\d{8}|[XYZxyz]\d{7})-?[A-HJ-NP-TV-Za-hj-np-tv-z](?!\w)", 0.8, checksums.dni),
    _number(
        "NATIONAL_ID",
        r"(?<![\w.])[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?!\w)",
        0.9,
        checksums.nir,
    ),
    _number(
        "NATIONAL_ID",
        r"(?<!\w)[A-Za-z]{6}\d{2}[A-EHLMPR-Ta-ehlmpr-t]\d{2}[A-Za-z]\d{3}[A-Za-z](?!\w)",
        1.0,
        checksums.codice_fiscale,
    ),
    _number("NATIONAL_ID", r"(?<![\w-])[2-9]\d{3} \d{4} \d{4}(?![\w-])", 0.8, checksums.verhoeff),
    _pattern(
        "NATIONAL_ID",
        r"(?<!\w)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)",
        0.7,
        words="nino|national insurance(?: number)?|ni number",
    ),
    _number(
        "NATIONAL_ID",
        r"(?<![\w.-])\d{2} ?\d{3} ?\d{3} ?\d{3}(?![\w-])",
        0.8,
        checksums.steuer_id,
        r"steuer-?id(?:entifikationsnummer)?|steuer-?identifikationsnummer|idnr|tax id",
    ),
    _number("NATIONAL_ID", r"(?<![\w.-])\d{11}(?![\w-])", 0.8, checksums.pesel, "pesel"),
    _number("NATIONAL_ID", r"(?<![\w.-])\d{9}(?![\w-])", 0.8, checksums.bsn, "bsn|burgerservicenummer"),
    _number("NATIONAL_ID", r"(?<![\w.-])\d{3}[ -]?\d{3}[ -]?\d{4}(?![\w-])", 0.8, checksums.nhs, "nhs(?: number)?"),
    _number(
        "NATIONAL_ID", r"(?<![\w.-])\d{3}[ -]?\d{3}[ -]?\d{3}(?![\w-])", 0.8, checksums.luhn, "sin|social insurance"
    ),
)
_IBAN_START: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ A-Za-z0-9])")
_DIGIT_RUN: Final = re.compile(r"(?<![\w.])\d(?:[ -]?\d){11,}(?!\w)", re.ASCII)
_DIGITS: Final = re.compile(r"\d+", re.ASCII)
_CARD_DIGITS_MAX: Final = 19
_CARD_GROUPS_MAX: Final = 6
ENTITIES: Final = ("CREDIT_CARD", "IBAN", *dict.fromkeys(pattern.entity for pattern in PATTERNS))


def find(text: str, entities: Iterable[str], score_min: float) -> list[Found]:
    """What was found, in order and without overlaps: of two at one place the surer, then the longer."""
    wanted = set(entities)
    found = [one for pattern in PATTERNS if pattern.entity in wanted for one in _matches(pattern, text)]
    if "CREDIT_CARD" in wanted:
        found += _cards(text)
    if "IBAN" in wanted:
        found += _ibans(text)
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: (one.start, -one.score, one.start - one.end)):
        if one.score < score_min:
            continue
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
        elif (one.score, one.end - one.start) > (kept[-1].score, kept[-1].end - kept[-1].start):
            kept[-1] = one
    return kept


def _matches(pattern: Pattern, text: str) -> Iterable[Found]:
    group = "value" if "value" in pattern.regex.groupindex else 0
    for match in pattern.regex.finditer(text):
        start, end = match.span(group)
        if pattern.context and not pattern.context.search(text, max(0, start - _CONTEXT_CHARS), start):
            continue
        if pattern.check(match[group]):
            yield Found(start, end, pattern.entity, pattern.score)


def _cards(text: str) -> Iterable[Found]:
    """A card may stand next to other numbers: each group of digits may be the first of one."""
    for run in _DIGIT_RUN.finditer(text):
        groups = [(match.start(), match.end()) for match in _DIGITS.finditer(text, *run.span())]
        for index, (start, _) in enumerate(groups):
            digits = ""
            for begin, end in groups[index : index + _CARD_GROUPS_MAX]:
                digits += text[begin : min(end, begin + _CARD_DIGITS_MAX + 1)]
                if len(digits) > _CARD_DIGITS_MAX:
                    break
                if len(digits) >= 12 and checksums.payment_card(digits):
                    yield Found(start, end, "CREDIT_CARD", 1.0)


def _ibans(text: str) -> Iterable[Found]:
    """Its country says how long an IBAN is; groups may be set apart by spaces."""
    for match in _IBAN_START.finditer(text):
        length = checksums.IBAN_LENGTHS.get(match[0][:2].upper())
        if length is None:
            continue
        end, letters = match.start(), ""
        while (
            end < len(text)
            and len(letters) < length
            and ((text[end].isascii() and text[end].isalnum()) or text[end] == " ")
        ):
            letters += text[end].strip()
            end += 1
        if checksums.iban(letters) and not text[end : end + 1].isalnum():
            yield Found(match.start(), end, "IBAN", 1.0)
