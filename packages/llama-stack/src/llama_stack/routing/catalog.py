"""Finding provider types: files of the package, installed packages, and what a provider entry names by `module:`.

There is no list to edit. Looking up one type imports one module where the file bears the type's name
(`remote::llama-cpp-server` in `llama_cpp_server.py`), so a start imports only the providers that it uses.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Protocol

from llama_stack.routing.errors import ProviderModuleInvalid, ProviderTypeUnknown
from llama_stack.routing.external import external_apis, provider_file, provider_files, provider_spec
from llama_stack.routing.legacy.calls import CallScope
from llama_stack.routing.modules import check_version, import_module_of, split_reference
from llama_stack_api.api import Api
from llama_stack_api.provider import ENTRY_POINT_GROUP, Descriptor

PROVIDERS_PACKAGE = "llama_stack.providers"


def installed_entry_points() -> Iterable[EntryPoint]:
    return importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)


class ConfiguredDirectories(Protocol):
    """A run config."""

    @property
    def external_providers_dir(self) -> Path | None: ...
    @property
    def external_apis_dir(self) -> Path | None: ...


class Catalog:
    """All provider types that can be configured. Results are kept: modules do not change while the server runs."""

    def __init__(
        self,
        *,
        package: str = PROVIDERS_PACKAGE,
        entry_points: Callable[[], Iterable[EntryPoint]] = installed_entry_points,
        external_providers_dir: Path | None = None,
        external_apis_dir: Path | None = None,
    ) -> None:
        """The directories are those of the run config; `Catalog.of` takes them from there."""
        self._directory = external_providers_dir
        self.external = external_apis(external_apis_dir)
        self.scope = CallScope()
        self._package = package
        self._entry_points = entry_points
        self._own: list[Descriptor] | None = None
        self._installed: list[Descriptor] | None = None

    @classmethod
    def of(cls, config: ConfiguredDirectories) -> Catalog:
        """With the types and APIs that the directories of a run config add."""
        return cls(external_providers_dir=config.external_providers_dir, external_apis_dir=config.external_apis_dir)

    def find(self, api: Api, provider_type: str, module: str | None = None) -> Descriptor:
        """The descriptor of a type. What `module:` or a file of `external_providers_dir` names is the operator's word;
        else own types come before installed ones, so a package cannot take their name.

        Raises `ProviderTypeUnknown` (with the nearest known types) or `ProviderModuleInvalid`.
        """
        if module is not None:
            named = self._in_named_module(module, provider_type)
            return self._pick(api, provider_type, named, where=f"module {module!r}")
        if self._directory is not None and (file := provider_file(self._directory, api, provider_type)) is not None:
            return self._of_file(file)
        if api in self.external.apis:
            return self._pick(api, provider_type, self._of_external_api(api, provider_type), where=f"API {api!r}")
        found = _match(api, provider_type, self._by_file_name(api, provider_type))
        found = found or _match(api, provider_type, self._from_entry_points())
        return found or self._pick(api, provider_type, self.all(), where=None)

    def all(self, api: Api | None = None) -> list[Descriptor]:
        """Every type that is found without `module:`, by API and type; imports all provider modules."""
        if self._own is None:
            self._own = [found for module in self._own_modules() for found in descriptors_of(module)]
        known: dict[tuple[Api, str], Descriptor] = {}
        for descriptor in [*self._of_files(), *self._own, *self._from_entry_points()]:
            known.setdefault((descriptor.api, descriptor.type), descriptor)
        chosen = [descriptor for descriptor in known.values() if api is None or descriptor.api == api]
        return sorted(chosen, key=lambda descriptor: (descriptor.api, descriptor.type))

    def _of_files(self) -> Iterable[Descriptor]:
        """Those files of `external_providers_dir` that can be read; the others are told of when they are asked for."""
        for _, _, file in provider_files(self._directory) if self._directory is not None else ():
            with suppress(ProviderModuleInvalid):
                yield self._of_file(file)

    def _of_file(self, file: Path) -> Descriptor:
        from llama_stack.routing.legacy.specs import descriptor_of

        return descriptor_of(provider_spec(file), str(file), self.scope)

    def _of_external_api(self, api: Api, provider_type: str) -> list[Descriptor]:
        """What `available_providers()` of the API's module says, and installed providers of it."""
        from llama_stack.routing.legacy.specs import available_specs, descriptors_of_specs

        module = self.external.apis[api].module()
        own = descriptors_of_specs(available_specs(module), module.__name__, self.scope, provider_type)
        return [*own, *(found for found in self._from_entry_points() if found.api == api)]

    def _by_file_name(self, api: Api, provider_type: str) -> list[Descriptor]:
        file_name = re.sub(r"\W", "_", provider_type.partition("::")[2])
        name = f"{self._package}.{api}.{file_name}"
        if importlib.util.find_spec(f"{self._package}.{api}") is None or importlib.util.find_spec(name) is None:
            return []
        return descriptors_of(import_module_of(name))

    def _own_modules(self) -> Iterable[ModuleType]:
        """The modules of every API's folder; those whose name begins with an underscore hold what providers share."""
        root = import_module_of(self._package)
        for folder in pkgutil.iter_modules(root.__path__, f"{self._package}."):
            if not folder.ispkg or folder.name.rpartition(".")[2].startswith("_"):
                continue
            for file in pkgutil.iter_modules(import_module_of(folder.name).__path__, f"{folder.name}."):
                if not file.name.rpartition(".")[2].startswith("_"):
                    yield import_module_of(file.name)

    def _from_entry_points(self) -> list[Descriptor]:
        if self._installed is None:
            self._installed = []
            for point in self._entry_points():
                found = descriptors_of(import_module_of(point.module, named_by=f"entry point {point.name!r}"))
                if not found:
                    raise ProviderModuleInvalid(
                        f"entry point {point.name!r} of group {ENTRY_POINT_GROUP!r} names {point.module!r}, which "
                        "defines no class with @provider(...)"
                    )
                self._installed += found
        return self._installed

    def _in_named_module(self, reference: str, provider_type: str) -> list[Descriptor]:
        """The types that `module:` brings. A package's own `provider` submodule is looked at first."""
        from llama_stack.routing.legacy.specs import legacy_descriptors  # only who names a module pays for it

        name, _ = split_reference(reference)
        named_by = f"`module: {reference}` of provider type {provider_type!r}"
        if not re.fullmatch(r"\w+(\.\w+)*", name):
            raise ProviderModuleInvalid(
                f"{named_by} is not the name of a Python package or module; write `package`, `package.module` or "
                "`package==version`"
            )
        package = import_module_of(name, named_by)
        check_version(reference, named_by)
        modules = [package]
        if hasattr(package, "__path__") and importlib.util.find_spec(f"{name}.provider") is not None:
            modules.insert(0, import_module_of(f"{name}.provider", named_by))
        found: list[Descriptor] = []
        for module in modules:
            found += descriptors_of(module, within=name)
            found += legacy_descriptors(module, self.scope, provider_type)
        if not found:
            raise ProviderModuleInvalid(
                f"`module: {reference}` of provider type {provider_type!r}: neither {name!r} nor '{name}.provider' has "
                "a class with @provider(...) or a function get_provider_spec(); name the module that has"
            )
        return found

    def _pick(self, api: Api, provider_type: str, descriptors: Iterable[Descriptor], where: str | None) -> Descriptor:
        descriptors = list(descriptors)
        found = _match(api, provider_type, descriptors)
        if found is not None:
            return found
        types = [descriptor.type for descriptor in descriptors if descriptor.api == api]
        elsewhere = [str(descriptor.api) for descriptor in descriptors if descriptor.type == provider_type]
        near = difflib.get_close_matches(provider_type, types, n=3, cutoff=0.5)
        if elsewhere:
            hint = f"it is a provider of {', '.join(elsewhere)}"
        elif near:
            hint = f"did you mean {', '.join(near)}?"
        else:
            hint = f"known: {', '.join(types) or 'none'}"
        place = f" in {where}" if where else ""
        raise ProviderTypeUnknown(
            f"providers.{api}: no provider type {provider_type!r}{place}; {hint}"
            + ("" if where else " (a type from a package of its own needs `module:` or an entry point)")
        )


def descriptors_of(module: ModuleType, within: str | None = None) -> list[Descriptor]:
    """The descriptors of the provider classes that a module defines, or re-exports from the package `within`."""
    home = within or module.__name__
    found: dict[str, Descriptor] = {}
    for value in vars(module).values():
        descriptor = vars(value).get("__provider__") if inspect.isclass(value) else None
        if isinstance(descriptor, Descriptor) and (value.__module__ == home or value.__module__.startswith(f"{home}.")):
            found.setdefault(f"{descriptor.api}/{descriptor.type}", descriptor)
    return list(found.values())


def _match(api: Api, provider_type: str, descriptors: Iterable[Descriptor]) -> Descriptor | None:
    return next(
        (found for found in descriptors if found.api == api and provider_type in (found.type, *found.former_types)),
        None,
    )
