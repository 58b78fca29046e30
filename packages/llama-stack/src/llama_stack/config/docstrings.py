"""The words below the fields of a section, as descriptions in its JSON Schema.

pydantic has an option for that, which reads the source of every section when it is imported: a twentieth of a start.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from llama_stack.config.section import Section


def describe(schema: dict[str, Any], root: type[Section]) -> None:
    """`schema` is what pydantic makes of `root`, with the sections below it under `$defs`, by name."""
    definitions: dict[str, Any] = schema["$defs"]
    for section in _sections(Section):
        described = schema if section is root else definitions.get(section.__name__)
        if described is not None:
            _describe(described["properties"], section)


def _sections(section: type[Section]) -> Iterator[type[Section]]:
    yield section
    for narrower in section.__subclasses__():
        yield from _sections(narrower)


def _describe(properties: dict[str, Any], section: type[Section]) -> None:
    for defining in reversed(section.__mro__[: section.__mro__.index(Section)]):
        for name, words in _words(defining).items():
            field = section.model_fields.get(name)
            if field is not None:
                properties[field.alias or name]["description"] = words


def _words(defining: type) -> dict[str, str]:
    """Texts that stand by themselves below what they describe."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(defining))).body
    assert isinstance(tree, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(tree.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
