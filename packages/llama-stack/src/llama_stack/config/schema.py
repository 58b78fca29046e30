"""The JSON Schema of the run config, for editors and `llama stack config schema`."""

from __future__ import annotations

from typing import Any

from llama_stack.config.docstrings import describe
from llama_stack.config.model import RunConfig

_REFERENCE = {"type": "string", "pattern": r"\$\{env\.[A-Z0-9_]+(:[=+][^}]*)?\}"}
_ANNOTATIONS = ("title", "description", "default", "deprecated")
_CONSTRAINTS = frozenset({"pattern", "enum", "const", "format", "minLength", "maxLength"})


def run_config_schema() -> dict[str, Any]:
    """The schema of a file as it is written: `${env.…}` may stand for any scalar. The same for the same code."""
    plain = RunConfig.model_json_schema(mode="validation")
    describe(plain, RunConfig)
    schema = _as_written(plain)
    assert isinstance(schema, dict)
    schema["required"] = [name for name in schema["required"] if name != "distro_name"]
    schema["anyOf"] = [{"required": ["distro_name"]}, {"required": ["image_name"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Llama Stack run config"}


def _as_written(node: Any, *, is_schema: bool = True) -> Any:
    if isinstance(node, list):
        return [_as_written(item) for item in node]
    if not isinstance(node, dict):
        return node
    if not is_schema:
        return {name: _as_written(item) for name, item in node.items()}
    node = {key: _part(key, item) for key, item in node.items()}
    if "properties" in node:
        node.setdefault("additionalProperties", False)
    return _or_reference(node) if _is_narrow_scalar(node) else node


def _part(key: str, value: Any) -> Any:
    if key in ("properties", "$defs"):
        return _as_written(value, is_schema=False)
    if key in ("default", "discriminator", "required", "enum", "const"):
        return value
    return _as_written(value)


def _is_narrow_scalar(node: dict[str, Any]) -> bool:
    kind = node.get("type")
    return kind in ("integer", "number", "boolean") or (kind == "string" and not _CONSTRAINTS.isdisjoint(node))


def _or_reference(node: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {key: node.pop(key) for key in _ANNOTATIONS if key in node}
    return {"anyOf": [node, _REFERENCE], **about}
