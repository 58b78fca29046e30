"""How large things are: what is installed, and what would be downloaded."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

from llama_stack.cli.building.needs import module_of

_MB = 1_000_000
_ASK_S = 5.0
_ASKED_AT_ONCE = 8
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")

Requires = Callable[[str], Iterable[str] | None]
"""What a package declares by `Requires-Dist`; None: it is not known."""


def megabytes(size: int | None) -> str:
    if size is None:
        return "?"
    return f"{max(size / _MB, 0.1):.1f} MB" if size < 10 * _MB else f"{size / _MB:.0f} MB"


def directory_bytes(directory: Path) -> int:
    """The sum of its files, links not followed."""
    return sum(path.lstat().st_size for path in directory.rglob("*") if not path.is_dir() or path.is_symlink())


def installed_bytes(package: str) -> int | None:
    """What a package takes in this environment; None if it is not installed."""
    try:
        installed = distribution(package)
    except PackageNotFoundError:
        return None
    files = [Path(str(file.locate())) for file in installed.files or ()]
    own = next((file.parent for file in files if file.suffix == ".pth"), None)
    if own is not None and (source := _source(own, files, package)) is not None:
        return directory_bytes(source)
    return sum(file.lstat().st_size for file in files if file.exists())


def download_bytes(urls: Iterable[str]) -> list[int | None]:
    """The size of each file as its server tells it; None where none does."""
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        return list(pool.map(_download_bytes, urls))


def closure(roots: Iterable[str], requires: Requires) -> set[str]:
    """The names of everything that requirements come to, as far as `requires` knows them.

    Markers other than `extra` are not looked at: what another system needs counts only if it is known here as well.
    """
    seen: dict[str, set[str]] = {}
    waiting = [_parsed(root) for root in roots]
    while waiting:
        name, extras = waiting.pop()
        new = {*extras, ""} - seen.get(name, set())
        declared = requires(name)
        if not new or declared is None:
            continue
        seen.setdefault(name, set()).update(new)
        for text in declared:
            wanted_by = _EXTRA.search(text)
            if (wanted_by[1] if wanted_by else "") in new:
                waiting.append(_parsed(text))
    return set(seen)


def installed_requires(name: str) -> Iterable[str] | None:
    try:
        return distribution(name).requires or ()
    except PackageNotFoundError:
        return None


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _parsed(requirement: str) -> tuple[str, frozenset[str]]:
    match = _REQUIREMENT.match(requirement)
    if match is None:
        raise ValueError(f"{requirement!r} is not a requirement")
    return canonical(match[1]), frozenset(extra.strip() for extra in (match[2] or "").split(",") if extra.strip())


def _source(site: Path, files: Iterable[Path], package: str) -> Path | None:
    for file in files:
        if file.suffix == ".pth" and file.parent == site:
            source = Path(file.read_text(encoding="utf-8").strip()) / module_of(package)
            if source.is_dir():
                return source
    return None


def _download_bytes(url: str) -> int | None:
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        return path.stat().st_size if path.is_file() else None
    if parts.scheme != "https":
        return None
    try:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - https alone comes here
        with urllib.request.urlopen(request, timeout=_ASK_S) as reply:  # noqa: S310
            length = reply.headers.get("Content-Length")
    except OSError:
        return None
    return int(length) if length else None
