"""`logging` and `logging_config`: how much is logged, and how."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from llama_stack.config.section import Section, UserPath

_LEVELS = ("debug", "info", "warning", "error", "critical")


class LoggingConfig(Section):
    category_levels: dict[str, str] = Field(default_factory=dict)
    """Level by category; `root` and `all` stand for every category that is not named."""
    format: Literal["text", "json"] | None = None
    """None: text on a terminal, JSON otherwise."""
    file: UserPath | None = None
    """None: standard error."""

    @field_validator("category_levels")
    @classmethod
    def _levels_exist(cls, levels: dict[str, str]) -> dict[str, str]:
        normal = {category: level.lower() for category, level in levels.items()}
        for category, level in normal.items():
            if level not in _LEVELS:
                raise ValueError(f"level of {category!r} must be one of {', '.join(_LEVELS)}")
        return normal
