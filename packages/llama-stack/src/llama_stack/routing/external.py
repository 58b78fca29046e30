"""Directories of files that name providers and APIs of other packages.

external_providers_dir/{remote,inline}/<api>/<name>.yaml     a provider's spec; its type is remote::<name>
external_apis_dir/<any>.yaml                                 an API: module, name, protocol, pip_packages
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from llama_stack.routing.errors import ProviderModuleInvalid
from llama_stack.routing.modules import import_module_of
from llama_stack_api.api import Api
from llama_stack_api.specs import ExternalApiSpec, InlineProviderSpec, ProviderSpec, RemoteProviderSpec

FILE_BYTES_MAX: Final = 256 * 1024
FILES_MAX: Final = 200
_KINDS: Mapping[str, type[ProviderSpec]] = {"remote": RemoteProviderSpec, "inline": InlineProviderSpec}


@dataclass(frozen=True, slots=True)
class ExternalApi:
    """An API that a package adds to the server. Its module is imported when it is first needed."""

    spec: ExternalApiSpec
    file: Path

    @property
    def api(self) -> Api:
        return Api.add(self.spec.name)

    def module(self) -> ModuleType:
        """`ProviderModuleInvalid` where it is not what the file says."""
        module = import_module_of(self.spec.module, f"{self.file}: `module`")
        if not hasattr(module, self.spec.protocol):
            raise ProviderModuleInvalid(
                f"{self.file}: `protocol` {self.spec.protocol!r} is not in module {self.spec.module!r}; name the class "
                "that its providers implement"
            )
        if not callable(getattr(module, "create_router", None)):
            raise ProviderModuleInvalid(
                f"{self.file}: module {self.spec.module!r} has no function create_router(), which gives the FastAPI "
                "router of the API; install a version of the package for llama-stack-api 0.7"
            )
        return module


@dataclass(frozen=True, slots=True)
class ExternalApis:
    """`broken` are files that cannot be read, with what is wrong."""

    apis: Mapping[str, ExternalApi]
    broken: Mapping[Path, str]


def external_apis(directory: Path | None) -> ExternalApis:
    """The APIs of the directory, by name; each is known as an `Api` from now on."""
    apis: dict[str, ExternalApi] = {}
    broken: dict[Path, str] = {}
    for file in sorted(directory.glob("*.yaml"))[:FILES_MAX] if directory is not None else ():
        try:
            spec = _checked(ExternalApiSpec, _read(file), file)
            if not re.fullmatch(r"[a-z][a-z0-9_]*", spec.name):
                raise ProviderModuleInvalid(
                    f"{file}: `name` {spec.name!r} is no name of an API: lower-case letters, digits and underscores"
                )
            if spec.name in _OWN or spec.name in apis:
                raise ProviderModuleInvalid(f"{file}: `name` {spec.name!r} is that of another API; choose another")
        except ProviderModuleInvalid as error:
            broken[file] = str(error)
            continue
        Api.add(spec.name)
        apis[spec.name] = ExternalApi(spec, file)
    return ExternalApis(apis, broken)


def provider_file(directory: Path, api: Api, provider_type: str) -> Path | None:
    """The file of a provider's type, if there is one."""
    kind, _, name = provider_type.partition("::")
    if kind not in _KINDS or not re.fullmatch(r"[\w.-]+", name) or not re.fullmatch(r"\w+", api):
        return None
    file = directory / kind / api / f"{name}.yaml"
    return file if file.is_file() else None


def provider_files(directory: Path) -> list[tuple[Api, str, Path]]:
    """All of them, with their API and type."""
    found = []
    for file in sorted(directory.glob("*/*/*.yaml"))[:FILES_MAX]:
        kind, api = file.parts[-3:-1]
        if kind in _KINDS and re.fullmatch(r"\w+", api):
            found.append((Api.add(api), f"{kind}::{file.stem}", file))
    return found


def provider_spec(file: Path) -> ProviderSpec:
    """The spec of a file; `ProviderModuleInvalid` names the file and the key."""
    kind, api = file.parts[-3:-1]
    said = {"adapter_type": file.stem, **_read(file), "api": api, "provider_type": f"{kind}::{file.stem}"}
    spec: ProviderSpec = _checked(_KINDS[kind], said if kind == "remote" else _without(said, "adapter_type"), file)
    if spec.module is None:
        raise ProviderModuleInvalid(f"{file}: `module` is missing; name the package that has the provider")
    return spec


def _without(said: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name != key}


def _read(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            raise ProviderModuleInvalid(f"{file} is larger than {FILE_BYTES_MAX} bytes")
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProviderModuleInvalid(f"{file} cannot be read: {error}") from error
    if not isinstance(said, dict):
        raise ProviderModuleInvalid(f"{file} has no keys; write `module: package` and the other fields of a spec")
    return said


def _checked(model: type[Any], said: dict[str, Any], file: Path) -> Any:
    try:
        made: BaseModel = model.model_validate(said)
    except ValidationError as error:
        wrong = "; ".join(
            f"`{'.'.join(map(str, each['loc']))}`: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False, include_context=False)
        )
        raise ProviderModuleInvalid(f"{file}: {wrong}") from None
    return made


_OWN: Final = frozenset(Api.__annotations__) - {"_members"}
"""The names of the server's own APIs."""
