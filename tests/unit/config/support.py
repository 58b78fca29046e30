"""Writing a run config for one test and reading it back."""

from collections.abc import Mapping
from pathlib import Path

from llama_stack.config.load import LoadedConfig, load_config
from llama_stack.config.problem import ConfigError, Problem

MINIMAL = "version: 2\ndistro_name: test\nproviders: {}\n"


def load(directory: Path, text: str, environ: Mapping[str, str] | None = None, *, strict: bool = False) -> LoadedConfig:
    file = directory / "run.yaml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, environ={"HOME": str(directory), **(environ or {})}, strict=strict)


def problems(
    directory: Path, text: str, environ: Mapping[str, str] | None = None, *, strict: bool = False
) -> tuple[Problem, ...]:
    """What is wrong with a config that must not load."""
    try:
        load(directory, text, environ, strict=strict)
    except ConfigError as error:
        return error.problems
    raise AssertionError("the config loads")
