"""Precision and recall by category: `python -m training.safety_classifier.measure sentences.txt [threshold]`."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from llama_stack.providers._shared.safety.linear_model import LinearModel, load
from training.safety_classifier.samples import sections


@dataclass(slots=True)
class Measured:
    """How often each category was rightly flagged, wrongly flagged, missed; and sentences flagged at all."""

    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    harmful: int = 0
    harmful_flagged: int = 0
    harmless: int = 0
    harmless_flagged: int = 0

    def precision(self, category: str) -> float:
        return self.right[category] / max(1, self.right[category] + self.wrong[category])

    def recall(self, category: str) -> float:
        return self.right[category] / max(1, self.right[category] + self.missed[category])


def measured(model: LinearModel, path: Path, threshold: float = 0.5) -> Measured:
    found = Measured()
    for labels, texts in sections(path):
        for text in texts:
            flagged = {name for name, score in model.scores(text).items() if score >= threshold}
            found.right.update(flagged & labels)
            found.wrong.update(flagged - labels)
            found.missed.update(labels - flagged)
            found.harmful += bool(labels)
            found.harmful_flagged += bool(labels and flagged)
            found.harmless += not labels
            found.harmless_flagged += bool(flagged and not labels)
    return found


def main() -> None:
    model = load()
    found = measured(model, Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.5)
    lines = ["| category | sentences | precision | recall |", "|---|---|---|---|"]
    for name in model.categories:
        count = found.right[name] + found.missed[name]
        lines.append(f"| `{name}` | {count} | {found.precision(name):.2f} | {found.recall(name):.2f} |")
    lines.append(f"\nharmful: {found.harmful_flagged} of {found.harmful} flagged")
    lines.append(f"harmless: {found.harmless_flagged} of {found.harmless} flagged")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
