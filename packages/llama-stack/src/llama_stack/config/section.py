"""What every section of a run config has in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, model_validator


class Section(BaseModel):
    """One mapping of the run config.

    A key that is not a field does not stop validation: `unknown.py` finds it beforehand and reports it with its line
    and the nearest known name. Numbers are taken for text where text is asked for: a substituted password of digits
    has become a number on its way here. A key without a value (`limits:`) is as good as absent.
    """

    model_config = ConfigDict(
        extra="ignore",
        coerce_numbers_to_str=True,
        protected_namespaces=(),
        defer_build=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data


def _expand_home(path: Path, info: ValidationInfo) -> Path:
    home = (info.context or {}).get("home") or Path.home()
    return Path(home, *path.parts[1:]) if path.parts[:1] == ("~",) else path


UserPath = Annotated[Path, AfterValidator(_expand_home)]
"""A path in which a leading `~` stands for the home directory of whoever runs the server."""
