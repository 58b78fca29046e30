"""Importing what others wrote. Whatever goes wrong is said with the package, and with what to do."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from types import ModuleType

from llama_stack.routing.errors import ProviderModuleInvalid

_REFERENCE = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,. -]*\])?\s*(?P<versions>(?:[=<>!~].*)?)")
_CLAUSE = re.compile(r"(?P<sign>===?|~=|!=|<=|>=|<|>)\s*(?P<version>[\w.*+!-]+)")
_SERVER_INSIDES = ("llama_stack.core", "llama_stack.providers.utils", "llama_stack.apis", "llama_stack.log")


def import_module_of(name: str, named_by: str | None = None) -> ModuleType:
    """`ProviderModuleInvalid` begins with `named_by`, which says where the name stands."""
    origin = f"{named_by}: " if named_by else ""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ProviderModuleInvalid(f"{origin}{_missing(name, error.name or name)}") from error
    except ImportError as error:
        raise ProviderModuleInvalid(
            f"{origin}module {name!r} cannot be imported: {error}. {_other_version(name)}"
        ) from error
    except (Exception, SystemExit) as error:  # a package's own code: whatever it raises, the others serve
        raise ProviderModuleInvalid(
            f"{origin}module {name!r} failed when it was imported ({type(error).__name__}: {error}). "
            f"{_other_version(name)}"
        ) from error


def _missing(name: str, missing: str) -> str:
    if name == missing or name.startswith(f"{missing}."):
        package = missing.partition(".")[0].replace("_", "-")
        return f"no module {name!r} is installed; install its package: `pip install {package}`"
    if any(missing == inside or missing.startswith(f"{inside}.") for inside in _SERVER_INSIDES):
        return (
            f"module {name!r} needs {missing!r}, the inside of another server; here a provider can rely on "
            "`llama_stack_api` alone. Install a version of the package that does"
        )
    package = missing.partition(".")[0].replace("_", "-")
    return (
        f"module {name!r} needs {missing!r}, which is not installed: `pip install {package}`. `llama stack list-deps` "
        "prints what the providers of a configuration say that they need"
    )


def _other_version(name: str) -> str:
    package = name.partition(".")[0].replace("_", "-")
    return f"Install another version of it, such as by `pip install --upgrade {package}`"


def split_reference(reference: str) -> tuple[str, str]:
    """The name and the wanted versions of a `module:`: `my-package==1.2` is `my_package` and `==1.2`."""
    matched = _REFERENCE.fullmatch(reference.strip())
    if matched is None:
        return "", ""
    return matched["name"].replace("-", "_"), matched["versions"].strip()


def check_version(reference: str, named_by: str) -> None:
    """`ProviderModuleInvalid` where another version is installed than `module: package==version` names."""
    name, versions = split_reference(reference)
    if not versions:
        return
    package, installed = _installed(name.partition(".")[0])
    shown = package.replace("_", "-")
    if installed is None:  # a source tree on the path, which has no version
        return
    wanted = [_CLAUSE.fullmatch(each.strip()) for each in versions.split(",")]
    for clause in wanted:
        if clause is None:
            raise ProviderModuleInvalid(f"{named_by}: {versions!r} is no version; write `package==1.2`")
        if not _fits(installed, clause["sign"], clause["version"]):
            raise ProviderModuleInvalid(
                f"{named_by}: version {installed} of {shown} is installed, and the run config wants {versions}; "
                f"`pip install '{shown}{versions}'`, or change the entry's `module`"
            )


def _installed(name: str) -> tuple[str, str | None]:
    try:
        return name, importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        for package in importlib.metadata.packages_distributions().get(name, ()):
            return package, importlib.metadata.version(package)
    return name, None


def _fits(installed: str, sign: str, version: str) -> bool:
    if sign in ("==", "===", "!="):
        is_same = _is_prefix(version[:-2], installed) if version.endswith(".*") else _same(version, installed)
        return is_same is (sign != "!=")
    if sign == "~=":
        return _release(installed) >= _release(version) and _is_prefix(version.rpartition(".")[0], installed)
    have, want = _release(installed), _release(version)
    return {"<": have < want, "<=": have <= want, ">": have > want, ">=": have >= want}[sign]


def _same(one: str, other: str) -> bool:
    return _release(one) == _release(other) and _suffix(one) == _suffix(other)


def _is_prefix(version: str, installed: str) -> bool:
    parts = re.findall(r"\d+", version)
    return re.findall(r"\d+", installed)[: len(parts)] == parts


def _release(version: str) -> tuple[int, ...]:
    """The numbers in front, without zeros at their end: 1.2 is 1.2.0."""
    matched = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(each) for each in matched[0].split(".")] if matched else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _suffix(version: str) -> str:
    return re.sub(r"^\d+(\.\d+)*", "", version).lower().replace("-", "").replace("_", "").removeprefix(".")
