"""Finding a run config by what the user typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from llama_stack.config.paths import llama_dir
from llama_stack.config.problem import ConfigError, Problem

DEFAULT_DISTRIBUTION = "starter"

_SUFFIXES = (".yaml", ".yml", ".json")
_MAIN_FILES = ("config.yaml", "run.yaml")


def packaged_distributions() -> dict[str, Path]:
    """The distributions that come with the server, by name."""
    directory = Path(str(files("llama_stack.distributions")))
    return {path.stem: path for path in sorted(directory.glob("*.yaml"))}


def locate(reference: str | Path | None, environ: Mapping[str, str]) -> Path:
    """The file that `reference` names: a path, a distribution, or `distribution::file.yaml`; None: the starter.

    `ConfigError` with the closest matches if there is none.
    """
    if isinstance(reference, Path):
        text, candidates = str(reference), iter([reference])
    else:
        text = reference or DEFAULT_DISTRIBUTION
        candidates = _candidates(text, environ)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ConfigError([_not_found(text, environ)])


def _candidates(text: str, environ: Mapping[str, str]) -> Iterator[Path]:
    yield Path(text).expanduser()
    name, _, file = text.partition("::")
    if not _is_plain(name) or (file and not _is_plain(file)):
        return
    packaged = packaged_distributions()
    own = llama_dir(environ) / "distributions"
    if file:
        if name in packaged and file in (*_MAIN_FILES, f"{name}.yaml"):
            yield packaged[name]
        yield own / name / file
        return
    if name in packaged:
        yield packaged[name]
    yield own / f"llamastack-{name}" / f"{name}-config.yaml"
    yield own / name / "config.yaml"


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and not any(mark in name for mark in "/\\\0")


def _not_found(text: str, environ: Mapping[str, str]) -> Problem:
    path = Path(text)
    if path.suffix in _SUFFIXES and "::" not in text:
        beside = [found.name for found in _listing(path.parent) if found.suffix in _SUFFIXES]
        close = [str(path.parent / name) for name in get_close_matches(path.name, beside)]
        message = f"there is no file {text!r}"
    else:
        own = [found.name.removeprefix("llamastack-") for found in _listing(llama_dir(environ) / "distributions")]
        names = sorted({*packaged_distributions(), *own})
        close = get_close_matches(text.partition("::")[0], names) or names
        message = f"there is no file and no distribution {text!r}"
    return Problem(message, remedy=f"Did you mean {' or '.join(close)}?" if close else None)


def _listing(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []
