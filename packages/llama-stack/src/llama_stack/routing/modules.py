"""Importing what others wrote. Whatever goes wrong is said with the package, and with what to do."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from types import ModuleType

from llama_stack.routing.errors import ProviderModuleInvalid
from llama_stack.routing.versions import satisfies

_REFERENCE = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,. -]*\])?\s*(?P<versions>(?:[=<>!~].*)?)")
_PACKAGE = re.compile(r"[\w.-]+")
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
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a package's own code: whatever it raises (exits, panics), the others serve
        raise ProviderModuleInvalid(
            f"{origin}module {name!r} failed when it was imported ({type(error).__name__}: {error}). "
            f"{_other_version(name)}"
        ) from error


def _missing(name: str, missing: str) -> str:
    if name == missing or name.startswith(f"{missing}."):
        return f"no module {name!r} is installed; install its package: `pip install {package_of(missing)}`"
    if any(missing == inside or missing.startswith(f"{inside}.") for inside in _SERVER_INSIDES):
        return (
            f"module {name!r} needs {missing!r}, the inside of another server; here a provider can rely on "
            "`llama_stack_api` alone. Install a version of the package that does"
        )
    return (
        f"module {name!r} needs {missing!r}, which is not installed: `pip install {package_of(missing)}`. "
        "`llama stack list-deps` prints what the providers of a configuration say that they need"
    )


def _other_version(name: str) -> str:
    upgrade = f"nstall another version of it, such as by `pip install --upgrade {package_of(name)}`"
    if missing := _not_installed(name):
        return f"Its package asks for what is not installed: `pip install {' '.join(missing)}`; or i{upgrade}"
    return f"I{upgrade}"


def _not_installed(name: str) -> list[str]:
    """What the package of a module requires and this environment has not: a package may hide that it could not import
    something, and fail later of that."""
    package, installed = _installed(name.partition(".")[0])
    required = importlib.metadata.requires(package) or [] if installed else []
    names = [found[0] for each in required if "extra ==" not in each and (found := _PACKAGE.match(each))]
    return [each for each in names if _installed(each)[1] is None]


def package_of(module: str) -> str:
    """The package that most probably has a module."""
    return module.partition(".")[0].replace("_", "-")


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
    shown = package_of(package)
    if installed is None:  # a source tree on the path, which has no version
        return
    try:
        fits = satisfies(installed, versions)
    except ValueError:
        raise ProviderModuleInvalid(f"{named_by}: {versions!r} is no version; write `package==1.2`") from None
    if not fits:
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
