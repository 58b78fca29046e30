"""The training set, made of the sentences in `data/`: a template stands for many sentences, the same ones every time.

`{a|b}` is a choice, which may hold further ones; `{name}` one of the slot `name` of slots.txt. `[labels]` heads the
lines that follow; none are harmless.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parent / "data"
SENTENCES_MAX = 30
"""Of one template."""
BEFORE_SHARE, AFTER_SHARE, MISSPELT_SHARE, COMPANY_SHARE = 0.3, 0.2, 0.1, 0.15
"""How many sentences stand behind a phrase, before one, have a slip of the pen, stand among harmless ones."""


@dataclass(frozen=True, slots=True)
class Sample:
    text: str
    labels: frozenset[str]


def samples() -> list[Sample]:
    slots = _slots()
    before, after = (lines for _, lines in sections(DATA / "contexts.txt"))
    plain: list[tuple[Sample, random.Random]] = []
    for path in sorted(DATA.glob("*.txt")):
        if path.name in ("slots.txt", "contexts.txt"):
            continue
        for labels, lines in sections(path):
            for line in lines:
                chance = random.Random(hashlib.sha256(line.encode()).digest())
                plain += [(Sample(text, labels), chance) for text in _sentences(line, slots, chance)]
    harmless = [sample.text for sample, _ in plain if not sample.labels]
    return [
        Sample(_in_context(sample.text, before, after, harmless, chance), sample.labels) for sample, chance in plain
    ]


def digest() -> str:
    """Of all that the weights depend on."""
    shared = Path(__file__).parents[2] / "packages/llama-stack/src/llama_stack/providers/_shared/safety"
    here = Path(__file__).parent
    sources = [*sorted(DATA.glob("*.txt")), here / "samples.py", here / "train.py"]
    sources += [shared / "normalize.py", shared / "features.py"]
    hashed = hashlib.sha256()
    for path in sources:
        hashed.update(hashlib.sha256(path.read_bytes()).digest())
    return hashed.hexdigest()


def sections(path: Path) -> list[tuple[frozenset[str], list[str]]]:
    """The labels of each heading of a file, and the lines under it."""
    found: list[tuple[frozenset[str], list[str]]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]"):
            found.append((frozenset(line[1:-1].split()), []))
        elif line:
            found[-1][1].append(line)
    return found


def _slots() -> dict[str, list[str]]:
    lines = (DATA / "slots.txt").read_text(encoding="utf-8").splitlines()
    named = [line.split(": ", 1) for line in lines]
    # Bars with a space on both sides: those without are choices within a value.
    return {name: values.split(" | ") for name, values in named}


def _sentences(template: str, slots: dict[str, list[str]], chance: random.Random) -> list[str]:
    made = (
        {_chosen(template, slots, chance): None for _ in range(SENTENCES_MAX)} if "{" in template else {template: None}
    )
    return list(made)


def _chosen(template: str, slots: dict[str, list[str]], chance: random.Random) -> str:
    """Innermost braces first."""
    while (end := template.find("}")) >= 0:
        start = template.rindex("{", 0, end)
        inside = template[start + 1 : end]
        choices = inside.split("|") if "|" in inside else slots[inside]
        template = template[:start] + chance.choice(choices) + template[end + 1 :]
    return " ".join(template.split())


def _in_context(text: str, before: list[str], after: list[str], harmless: list[str], chance: random.Random) -> str:
    if chance.random() < MISSPELT_SHARE:
        text = _misspelt(text, chance)
    if chance.random() < BEFORE_SHARE:
        text = f"{chance.choice(before)} {text}"
    if chance.random() < AFTER_SHARE:
        text = f"{text} {chance.choice(after)}"
    if chance.random() < COMPANY_SHARE:
        text = f"{chance.choice(harmless)}. {text}. {chance.choice(harmless)}"
    return text


def _misspelt(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) - 1) if len(text) > 1 else 0
    swapped = text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]
    return chance.choice((swapped, text[:at] + text[at + 1 :]))
