"""Where in the file each part of a loaded config stands, for findings that come after loading."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llama_stack.config.expand import Expansion, expand
from llama_stack.config.lines import Document, parse_yaml
from llama_stack.config.paths import home_dir
from llama_stack.config.problem import ConfigPath, Problem, Severity


class Source:
    """The file of a config that has been loaded, so it is known to be readable."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._document: Document = parse_yaml(path.read_text(encoding="utf-8"))
        self._expansion: Expansion = expand(self._document.data, environ, home_dir(environ))

    def problem(
        self, message: str, path: ConfigPath, remedy: str | None = None, severity: Severity = Severity.ERROR
    ) -> Problem:
        """A finding at a path of the loaded config, with the path and line that it has in the file."""
        origin = self._expansion.origin(path)
        return Problem(message, origin, self._document.line_of(origin), remedy, severity)
