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


def distributions_dir(environ: Mapping[str, str]) -> Path:
    """Where the user's own distributions are."""
    return llama_dir(environ) / "distributions"


def own_distributions(environ: Mapping[str, str]) -> dict[str, Path]:
    """The run configs of the user's own distributions, by name.

    Servers of run configs elsewhere keep their state in directories of the same kind, without a config.
    """
    directories = _listing(distributions_dir(environ))
    names = sorted({directory.name.removeprefix("llamastack-") for directory in directories if directory.is_dir()})
    found = {name: [path for path in _own(name, environ) if path.is_file()] for name in names}
    return {name: paths[0] for name, paths in found.items() if paths}


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
    if file:
        if name in packaged and file in (*_MAIN_FILES, f"{name}.yaml"):
            yield packaged[name]
        yield distributions_dir(environ) / name / file
        return
    if name in packaged:
        yield packaged[name]
    yield from _own(name, environ)


def _own(name: str, environ: Mapping[str, str]) -> Iterator[Path]:
    """Where the config of a distribution of the user's may be: as former servers had it, or as it is today."""
    own = distributions_dir(environ)
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
        names = sorted({*packaged_distributions(), *own_distributions(environ)})
        close = get_close_matches(text.partition("::")[0], names)
        message = f"there is no file and no distribution {text!r}"
        if not close:
            return Problem(message, remedy=f"There are {', '.join(names)}")
    return Problem(message, remedy=f"Did you mean {' or '.join(close)}?" if close else None)


def _listing(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []
