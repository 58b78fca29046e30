"""How large everything is that providers come to: as installed here, else as an index would send it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from llama_stack.cli.building import wheels
from llama_stack.cli.building.lock import Locked, local_packages, resolve
from llama_stack.cli.building.needs import OWN_PACKAGES, Needs
from llama_stack.cli.building.pip import usable_pip
from llama_stack.cli.building.sizes import (
    canonical,
    closure,
    download_bytes,
    installed_bytes,
    installed_requires,
    megabytes,
)
from llama_stack.cli.tables import table

SERVER = "the server"
PROVIDERS = "providers and stores"


@dataclass(frozen=True, slots=True)
class Part:
    """One package. `installed` says whether `bytes` is its size here or that of its download; None: not known."""

    name: str
    version: str
    needed_by: str
    installed: bool
    bytes: int | None

    def as_data(self) -> dict[str, Any]:
        return asdict(self)


def measure(needs: Needs) -> list[Part]:
    """The largest first. Only where something is not installed here is an index asked."""
    wanted = [*needs.words(), *needs.provided_by]
    known = _here([*wanted, *needs.weights], needs)
    if known is None:
        known = _asked(needs)
    return sorted(known, key=lambda part: (-(part.bytes or 0), part.name))


def told(parts: Iterable[Part]) -> str:
    parts = list(parts)
    rows = [
        (part.name, part.version, megabytes(part.bytes), "installed" if part.installed else "download", part.needed_by)
        for part in parts
    ]
    lines = [table(("PACKAGE", "VERSION", "SIZE", "AS", "NEEDED BY"), rows), ""]
    for needed_by in (SERVER, PROVIDERS):
        here = [part for part in parts if part.needed_by == needed_by]
        installed = sum(part.bytes or 0 for part in here if part.installed)
        missing = sum(part.bytes or 0 for part in here if not part.installed)
        more = f", {megabytes(missing)} to download" if missing else ""
        lines.append(f"{needed_by}: {len(here)} packages, {megabytes(installed)} installed{more}")
    return "\n".join(lines)


def _here(wanted: list[str], needs: Needs) -> list[Part] | None:
    """None if something is missing here."""
    if not all(closure([word], installed_requires) for word in wanted):
        return None
    server = closure(OWN_PACKAGES, installed_requires)
    weights = {canonical(name) for name in needs.weights}
    names = server | closure(needs.words(), installed_requires) | {canonical(name) for name in needs.provided_by}
    return [_part(name, server) for name in sorted(names | weights)]


def _part(name: str, server: set[str]) -> Part:
    return Part(name, version(name), SERVER if name in server else PROVIDERS, True, installed_bytes(name))


def _asked(needs: Needs) -> list[Part]:
    with usable_pip() as pip, tempfile.TemporaryDirectory(prefix="llama-stack-sizes-") as place:
        packed = [wheels.make(package, Path(place), pip) for package in local_packages(needs)]
        locked = {package.name: package for package in resolve(needs, packed, pip)}
    server = closure(OWN_PACKAGES, lambda name: _declared(name, locked))
    parts = [_locked_part(package, server) for package in locked.values()]
    parts += [_part(package, server) for package in OWN_PACKAGES]
    missing = [part for part in parts if part.bytes is None]
    sizes = download_bytes(locked[part.name].url for part in missing)
    known = {part.name: size for part, size in zip(missing, sizes, strict=True)}
    return [replace(part, bytes=known[part.name]) if part.name in known else part for part in parts]


def _locked_part(package: Locked, server: set[str]) -> Part:
    size = installed_bytes(package.name) if _is_installed(package) else None
    needed_by = SERVER if package.name in server else PROVIDERS
    return Part(package.name, package.version, needed_by, size is not None, size)


def _is_installed(package: Locked) -> bool:
    try:
        return version(package.name) == package.version
    except PackageNotFoundError:
        return False


def _declared(name: str, locked: dict[str, Locked]) -> Iterable[str] | None:
    if name in OWN_PACKAGES:
        return installed_requires(name)
    return locked[name].requires if name in locked else None
