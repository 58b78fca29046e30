"""From what the user typed to a checked run config. All problems of a file are reported together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from llama_stack.config.check import check_config
from llama_stack.config.env import if_set, turned_on_by
from llama_stack.config.expand import Expansion, expand
from llama_stack.config.lines import Document, parse_yaml
from llama_stack.config.locate import locate
from llama_stack.config.model import RunConfig
from llama_stack.config.paths import home_dir
from llama_stack.config.problem import ConfigError, ConfigPath, Problem, Severity
from llama_stack.config.retired import RETIRED, retired_keys
from llama_stack.config.unknown import unknown_keys
from llama_stack.config.unsupported import take_unsupported

_MESSAGES = {
    "missing": "is required",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "list_type": "must be a list",
    "string_type": "must be text; put it in quotes",
    "union_tag_not_found": "needs a `type`",
}
"""Where pydantic's own words speak of Python."""


class Switch(NamedTuple):
    """A provider, which has its id among those of its API, and a variable that turns it on, set or not."""

    api: str
    provider_id: str
    variable: str


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    config: RunConfig
    warnings: tuple[Problem, ...]
    path: Path
    switches: tuple[Switch, ...] = ()


def load_config(reference: str | Path | None, *, environ: Mapping[str, str], strict: bool = False) -> LoadedConfig:
    """Find, read, expand and check a run config (see `locate` for what `reference` may be).

    `strict` makes errors of probable mistakes, such as unknown keys. `ConfigError` holds everything that is wrong.
    """
    path = locate(reference, environ)
    try:
        document = parse_yaml(_read(path))
        config, problems = _check(document, environ)
    except ConfigError as error:
        raise ConfigError(error.problems, str(path)) from None
    errors = [problem for problem in problems if _is_error(problem, strict)]
    if config is None or errors:
        raise ConfigError(errors, str(path))
    return LoadedConfig(config, tuple(problems), path, tuple(_switches(document.data.get("providers"))))


def _switches(providers: Mapping[str, Any] | None) -> Iterator[Switch]:
    """Of a config that has been checked."""
    for api, entries in (providers or {}).items():
        for entry in entries or ():
            written = str(entry["provider_id"])
            yield from (Switch(api, if_set(written), variable) for variable in turned_on_by(written))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ConfigError([Problem(f"the file cannot be read: {reason}")]) from None


def _is_error(problem: Problem, strict: bool) -> bool:
    return problem.severity is Severity.ERROR or (strict and problem.severity is Severity.MISTAKE)


def _check(document: Document, environ: Mapping[str, str]) -> tuple[RunConfig | None, list[Problem]]:
    if not isinstance(document.data, dict):
        raise ConfigError([Problem("the file must be a mapping with `distro_name` and `providers`", line=1)])
    expansion = expand(document.data, environ, home_dir(environ))
    data = expansion.data
    found = [*take_unsupported(data), *retired_keys(data), *unknown_keys(data, RunConfig, RETIRED)]
    config: RunConfig | None = None
    try:
        config = RunConfig.model_validate(data, context={"environ": environ, "home": home_dir(environ)})
        found += check_config(config)
    except ValidationError as error:
        found += _validation_problems(error, data)
    problems = [*document.problems, *expansion.problems]
    problems += _without_consequences(_in_file(found, expansion), expansion.problems)
    placed = [replace(problem, line=problem.line or document.line_of(problem.path)) for problem in problems]
    return config, sorted(placed, key=lambda problem: problem.line or 0)


def _in_file(problems: Iterable[Problem], expansion: Expansion) -> Iterator[Problem]:
    return (replace(problem, path=expansion.origin(problem.path)) for problem in problems)


def _without_consequences(problems: Iterable[Problem], causes: list[Problem]) -> Iterator[Problem]:
    """Leave out what is wrong only because a variable is missing there."""
    missing = {cause.path for cause in causes if cause.severity is Severity.ERROR}
    return (problem for problem in problems if problem.path not in missing)


def _validation_problems(error: ValidationError, data: Any) -> Iterator[Problem]:
    """pydantic's findings at paths of the data. Inputs are never shown: they may be secrets."""
    seen: set[tuple[ConfigPath, str]] = set()
    for detail in error.errors(include_url=False, include_input=False):
        path = _path_in(data, detail)
        message = _message(detail)
        if (path, message) not in seen:
            seen.add((path, message))
            yield Problem(message, path)


def _path_in(data: Any, detail: ErrorDetails) -> ConfigPath:
    """pydantic names the chosen member of a union among the steps; only what the data has belongs to the path."""
    steps, missing = (detail["loc"][:-1], detail["loc"][-1:]) if detail["type"] == "missing" else (detail["loc"], ())
    path: list[str | int] = []
    for step in steps:
        in_list = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if in_list or (isinstance(data, dict) and step in data):
            data = data[step]
            path.append(step)
    return (*path, *missing)


def _message(detail: ErrorDetails) -> str:
    if detail["type"] in _MESSAGES:
        return _MESSAGES[detail["type"]]
    text = detail["msg"].removeprefix("Value error, ")
    return text[:1].lower() + text[1:]
