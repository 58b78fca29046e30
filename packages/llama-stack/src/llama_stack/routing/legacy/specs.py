"""What a package's `get_provider_spec()` says, as descriptors. Whatever is wrong with it is said with the fix."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from llama_stack.routing.errors import ProviderModuleInvalid
from llama_stack.routing.legacy.calls import CallScope
from llama_stack.routing.legacy.provider import LegacyProvider
from llama_stack.routing.modules import import_module_of
from llama_stack_api.provider import Descriptor
from llama_stack_api.specs import ProviderSpec


def legacy_descriptors(module: ModuleType, scope: CallScope, provider_type: str) -> list[Descriptor]:
    """The descriptors of the specs that `module.get_provider_spec()` returns; none if it has no such function."""
    if vars(module).get("get_provider_spec") is None:
        return []
    return descriptors_of_specs(_specs(module, "get_provider_spec"), module.__name__, scope, provider_type)


def descriptors_of_specs(
    specs: Iterable[ProviderSpec], home: str, scope: CallScope, provider_type: str
) -> list[Descriptor]:
    """What is wrong with the spec of another type than `provider_type` is no obstacle to this one."""
    found = []
    for spec in specs:
        try:
            found.append(descriptor_of(spec, home, scope))
        except ProviderModuleInvalid:
            if spec.provider_type == provider_type:
                raise
    return found


def available_specs(module: ModuleType) -> list[ProviderSpec]:
    """What an external API's `available_providers()` returns; none if it has no such function."""
    return _specs(module, "available_providers") if hasattr(module, "available_providers") else []


def _specs(module: ModuleType, function: str) -> list[ProviderSpec]:
    try:
        found = getattr(module, function)()
    except Exception as error:  # a package's own code: whatever it raises is told
        raise ProviderModuleInvalid(
            f"{module.__name__}.{function}() failed ({type(error).__name__}: {error}); it must return a ProviderSpec "
            "of llama_stack_api, or a list of them. Ask the authors of the package, or install another version of it"
        ) from error
    specs = found if isinstance(found, list | tuple) else [found]
    for spec in specs:
        if not isinstance(spec, ProviderSpec):
            raise ProviderModuleInvalid(
                f"{module.__name__}.{function}() returned a {type(spec).__name__}; it must return a "
                "ProviderSpec of llama_stack_api, or a list of them"
            )
    return list(specs)


def descriptor_of(spec: ProviderSpec, home: str, scope: CallScope) -> Descriptor:
    """`home` is where the spec comes from: a module, or a file."""
    if spec.deprecation_error:
        raise ProviderModuleInvalid(
            f"{spec.provider_type} of {home} says `deprecation_error`: {spec.deprecation_error}"
        )
    if not spec.provider_type.startswith(("remote::", "inline::")):
        raise ProviderModuleInvalid(
            f"{home}: `provider_type` {spec.provider_type!r} of its spec must begin with 'remote::' or 'inline::'"
        )
    config = _class_of(spec, home, "config_class", spec.config_class)
    validator = _validator(spec, home)
    return Descriptor(
        api=spec.api,
        type=spec.provider_type,
        description=getattr(spec, "description", None) or f"{spec.provider_type} of package {home}",
        config=config,
        create=functools.partial(LegacyProvider, spec, home, scope, validator),
        sample=_sample(config),
        data_keys={name: name for name in validator.model_fields} if validator else {},
        pip_packages=tuple(spec.pip_packages),
        api_dependencies=tuple(spec.api_dependencies),
        optional_api_dependencies=tuple(spec.optional_api_dependencies),
        module=spec.module or home,
    )


def _validator(spec: ProviderSpec, home: str) -> type[BaseModel] | None:
    if not spec.provider_data_validator:
        return None
    return _class_of(spec, home, "provider_data_validator", spec.provider_data_validator)


def _class_of(spec: ProviderSpec, home: str, field: str, path: str) -> type[BaseModel]:
    said = f"{home}: `{field}` {path!r} of {spec.provider_type}"
    module_name, _, class_name = path.rpartition(".")
    if not module_name:
        raise ProviderModuleInvalid(f"{said} is not the dotted path of a class")
    found = getattr(import_module_of(module_name, said), class_name, None)
    if inspect.isclass(found) and issubclass(found, BaseModel):
        return found
    raise ProviderModuleInvalid(f"{said} is not a pydantic model; it must be the dotted path of one")


def _sample(config: type[BaseModel]) -> Mapping[str, Any]:
    """What `sample_run_config` of the config's class says, where it has one that answers without arguments."""
    make = getattr(config, "sample_run_config", None)
    if not callable(make):
        return {}
    try:
        made = make(__distro_dir__="~/.llama/distributions") if _takes_directory(make) else make()
    except Exception:  # noqa: BLE001 - a package's own code, and only a listing goes without
        return {}
    return made if isinstance(made, dict) else {}


def _takes_directory(make: Any) -> bool:
    parameters = inspect.signature(make).parameters.values()
    return any(each.name == "__distro_dir__" or each.kind is each.VAR_KEYWORD for each in parameters)
