"""`config check`, `config show`, `config schema`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from llama_stack.config import LoadedConfig, Problem

Reference = Annotated[
    str | None, typer.Argument(metavar="DISTRO|FILE", help="A file, or a distribution's name. Default: starter.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Make probable mistakes, such as unknown keys, errors.")]


def config_check(config: Reference = None, strict: Strict = False) -> None:
    """Check a run config and its providers' settings, without starting anything."""
    from llama_stack.config import load_config

    loaded = load_config(config, environ=os.environ, strict=strict)
    problems = [*loaded.warnings, *provider_problems(loaded, os.environ)]
    fail_on_errors(problems, loaded.path, strict=strict)
    for warning in problems:
        print(f"Warning: {warning}")
    count = sum(1 for _ in loaded.config.provider_entries())
    print(f"{loaded.path} is valid: {count} provider{'s' * (count != 1)}, {_warnings(len(problems))}.")


def config_show(config: Reference = None, strict: Strict = False) -> None:
    """Print a run config as it is after substitution and defaults, with secrets masked."""
    import yaml

    from llama_stack.config import load_config
    from llama_stack.config.redact import redact

    loaded = load_config(config, environ=os.environ, strict=strict)
    print(f"# {loaded.path}")
    print(yaml.safe_dump(redact(loaded.config), sort_keys=False, allow_unicode=True, width=120).rstrip())


def config_schema() -> None:
    """Print the JSON Schema of the run config, for editors."""
    import json

    from llama_stack.config.schema import run_config_schema

    print(json.dumps(run_config_schema(), indent=2))


def fail_on_errors(problems: Iterable[Problem], path: Path, *, strict: bool) -> None:
    """`ConfigError` with those of the problems that are errors."""
    from llama_stack.config import ConfigError

    errors = [problem for problem in problems if _is_error(problem, strict)]
    if errors:
        raise ConfigError(errors, str(path))


def provider_problems(loaded: LoadedConfig, environ: Mapping[str, str]) -> list[Problem]:
    """What is wrong with the providers of a config, at the lines of its file."""
    from llama_stack.cli.provider_configs import check_providers
    from llama_stack.cli.source import Source
    from llama_stack.routing.catalog import Catalog

    source = Source(loaded.path, environ)
    return list(check_providers(loaded.config, Catalog.of(loaded.config), source.problem))


def _is_error(problem: Problem, strict: bool) -> bool:
    from llama_stack.config.problem import Severity

    return problem.severity is Severity.ERROR or (strict and problem.severity is Severity.MISTAKE)


def _warnings(count: int) -> str:
    return f"{count} warning{'s' * (count != 1)}" if count else "no warnings"
