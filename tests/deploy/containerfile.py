"""A Containerfile as its instructions."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

INSTRUCTIONS = (
    *("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "STOPSIGNAL", "USER"),
    *("VOLUME", "WORKDIR"),
)


@dataclass(frozen=True, slots=True)
class Instruction:
    name: str
    value: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.value)


@dataclass(frozen=True, slots=True)
class Stage:
    name: str | None
    base: str
    instructions: list[Instruction]

    def all(self, name: str) -> list[Instruction]:
        return [each for each in self.instructions if each.name == name]

    def one(self, name: str) -> Instruction:
        (found,) = self.all(name)
        return found

    @property
    def environment(self) -> dict[str, str]:
        return dict(word.split("=", 1) for each in self.all("ENV") for word in each.words)


def stages_of(text: str) -> list[Stage]:
    """Raises `ValueError` for a line that is no instruction."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        name, _, value = line.partition(" ")
        if name not in INSTRUCTIONS:
            raise ValueError(f"{line!r} is no instruction")
        if name == "FROM":
            base, _, stage = value.partition(" AS ")
            stages.append(Stage(stage or None, base, []))
        elif stages:
            stages[-1].instructions.append(Instruction(name, " ".join(value.split())))
    return stages
