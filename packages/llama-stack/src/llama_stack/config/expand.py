"""`${env.…}` throughout a config: what is turned off is dropped first, then everything else is expanded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llama_stack.config.env import MissingVariable, Scalar, expand_text, has_malformed_reference
from llama_stack.config.problem import ConfigPath, Problem, Severity

DISABLED = "__disabled__"

_RESOURCE_IDS = {
    "models": "model_id",
    "shields": "shield_id",
    "vector_stores": "vector_store_id",
    "tool_groups": "toolgroup_id",
}


@dataclass(slots=True)
class Expansion:
    """`data` is the expanded tree; `problems` are at paths of the file; `kept` maps a list of the expanded tree to the
    indices that its items have in the file."""

    data: Any = None
    problems: list[Problem] = field(default_factory=list)
    kept: dict[ConfigPath, list[int]] = field(default_factory=dict)

    def origin(self, path: ConfigPath) -> ConfigPath:
        """The path in the file of a path in the expanded tree."""
        original: list[str | int] = []
        for position, piece in enumerate(path):
            indices = self.kept.get(path[:position])
            known = indices is not None and isinstance(piece, int) and piece < len(indices)
            original.append(indices[piece] if known and indices is not None and isinstance(piece, int) else piece)
        return tuple(original)


def expand(data: Any, environ: Mapping[str, str], home: Path) -> Expansion:
    expander = _Expander(environ, home)
    expander.result.data = expander.value(data, (), ())
    return expander.result


class _Expander:
    """Walks the tree with two paths: `path` in the expanded tree, `origin` in the file."""

    def __init__(self, environ: Mapping[str, str], home: Path) -> None:
        self.environ = environ
        self.home = home
        self.result = Expansion()

    def value(self, value: Any, path: ConfigPath, origin: ConfigPath) -> Any:
        if isinstance(value, str):
            return self.text(value, origin)
        if isinstance(value, list):
            return self.items(value, path, origin)
        if isinstance(value, dict):
            if path == ("server", "auth", "provider_config") and self._turned_off(value.get("type")):
                return None
            return {
                str(key): self.value(item, (*path, str(key)), (*origin, str(key)))
                for key, item in value.items()
                if not self._dropped(item, path)
            }
        return value

    def items(self, items: list[Any], path: ConfigPath, origin: ConfigPath) -> list[Any]:
        kept = [index for index, item in enumerate(items) if not self._dropped(item, path)]
        if len(kept) < len(items):
            self.result.kept[path] = kept
        return [self.value(items[index], (*path, position), (*origin, index)) for position, index in enumerate(kept)]

    def text(self, text: str, origin: ConfigPath) -> Scalar:
        if has_malformed_reference(text):
            self.result.problems.append(
                Problem(
                    "'${env.' that is not a reference stays as it is written",
                    origin,
                    remedy="Write ${env.NAME}, ${env.NAME:=default} or ${env.NAME:+value}, the name in upper case",
                    severity=Severity.MISTAKE,
                )
            )
        try:
            return expand_text(text, self.environ, self.home)
        except MissingVariable as missing:
            self.result.problems.append(
                Problem(
                    f"the environment variable {missing.name} is not set, or empty",
                    origin,
                    remedy=f"Set it (export {missing.name}=…) or give it a default: ${{env.{missing.name}:=…}}",
                )
            )
            return None

    def _dropped(self, item: Any, path: ConfigPath) -> bool:
        """True for an entry that is turned off. Nothing else of it is looked at, so what it lacks is no error."""
        if not isinstance(item, dict):
            return False
        match path:
            case ("providers", _):
                return "provider_id" in item and self._turned_off(item["provider_id"], null_counts=True)
            case ("registered_resources", str(kind)) if kind in _RESOURCE_IDS:
                return (
                    self._turned_off(item.get(_RESOURCE_IDS[kind]))
                    or self._turned_off(item.get("provider_id"))
                    or self._without_targets(item.get("targets"))
                )
            case ("registered_resources", "models", int(), "targets"):
                return self._turned_off(item.get("provider_id"))
            case ("storage", "backends"):
                return self._turned_off(item.get("type"))
            case ("connectors",):
                return self._turned_off(item.get("connector_id"))
        return False

    def _without_targets(self, targets: Any) -> bool:
        return (
            isinstance(targets, list)
            and bool(targets)
            and all(isinstance(target, dict) and self._turned_off(target.get("provider_id")) for target in targets)
        )

    def _turned_off(self, value: Any, *, null_counts: bool = False) -> bool:
        """True for an id that is, or resolves to, nothing or `__disabled__`."""
        if not isinstance(value, str):
            return value is None and null_counts
        try:
            return expand_text(value, self.environ, self.home) in (None, "", DISABLED)
        except MissingVariable:
            return False
