"""YAML with the line of every key: safe loading, no duplicate keys, bounded in size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from llama_stack.config.problem import ConfigError, ConfigPath, Problem

BYTES_MAX = 1024 * 1024
DEPTH_MAX = 64
NODES_MAX = 50_000
"""Counted with aliases written out, so that a file of a few lines cannot stand for gigabytes."""


@dataclass(slots=True)
class Document:
    data: Any
    lines: Mapping[ConfigPath, int]
    """Line of each path, from 1."""
    problems: list[Problem] = field(default_factory=list)

    def line_of(self, path: ConfigPath) -> int | None:
        """The line of a path, or of the nearest thing around it that the file holds."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


def parse_yaml(text: str) -> Document:
    """`ConfigError` if `text` is not one YAML document within the limits."""
    if len(text.encode()) > BYTES_MAX:
        raise ConfigError([Problem(f"the file is larger than {BYTES_MAX} bytes")])
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Document(None, {})
        walk = _Walk()
        walk.visit(node, ())
        return Document(loader.construct_document(node), walk.lines, walk.problems)
    except yaml.YAMLError as error:
        raise ConfigError([_syntax_problem(error)]) from None
    except (RecursionError, ValueError) as error:
        # construct_document reports impossible dates and numbers as ValueError
        raise ConfigError([Problem(f"the file is not valid YAML: {error}")]) from None
    finally:
        loader.dispose()


def _syntax_problem(error: yaml.YAMLError) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        message = ", ".join(part for part in (error.context, error.problem) if part)
        return Problem(f"the file is not valid YAML: {message}", line=error.problem_mark.line + 1)
    return Problem("the file is not valid YAML; is it text in UTF-8?")


class _Walk:
    def __init__(self) -> None:
        self.lines: dict[ConfigPath, int] = {}
        self.problems: list[Problem] = []
        self._nodes = 0

    def visit(self, node: yaml.Node, path: ConfigPath) -> None:
        self._nodes += 1
        line = node.start_mark.line + 1
        if self._nodes > NODES_MAX:
            raise ConfigError([Problem(f"the file holds more than {NODES_MAX} values, aliases included", line=line)])
        if len(path) > DEPTH_MAX:
            raise ConfigError([Problem(f"the file is nested deeper than {DEPTH_MAX} levels", line=line)])
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.lines.setdefault((*path, index), item.start_mark.line + 1)
                self.visit(item, (*path, index))
        elif isinstance(node, yaml.MappingNode):
            self._visit_mapping(node, path)

    def _visit_mapping(self, node: yaml.MappingNode, path: ConfigPath) -> None:
        own: dict[str, int] = {}
        merged = []
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                merged.append(value)
                continue
            name, line = str(key.value), key.start_mark.line + 1
            if name in own:
                self.problems.append(
                    Problem(
                        f"the key is there twice, first on line {own[name]}",
                        (*path, name),
                        line,
                        remedy="Keep one of them",
                    )
                )
            own[name] = line
            self.lines[(*path, name)] = line
            self.visit(value, (*path, name))
        for value in merged:
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                self._visit_merged(source, path)

    def _visit_merged(self, source: yaml.Node, path: ConfigPath) -> None:
        """Keys that `<<` brings in stand at the line of their anchor, unless the mapping has them itself."""
        before = dict(self.lines)
        self.visit(source, path)
        self.lines.update(before)
