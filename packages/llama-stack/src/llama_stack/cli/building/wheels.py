"""Wheels of what is installed here: our own packages reach another environment without any index knowing them."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from llama_stack.cli.building.needs import module_of
from llama_stack.cli.building.pip import Pip
from llama_stack.cli.failure import Failure

_LEFT_OUT = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"})
_EPOCH = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o644 << 16


def make(package: str, directory: Path, pip: Pip) -> Path:
    """The wheel of an installed package: built from its source if it is an editable install, else of its files."""
    source = editable_source(_installed(package))
    if source is None:
        return pack(package, directory)
    pip.wheel(source, directory, isolated=not _has_backend(source))
    return next(directory.glob(f"{module_of(package)}-*.whl"))


def pack(package: str, directory: Path) -> Path:
    """The wheel of the files of an installed pure-Python package; the same files give the same bytes.

    `Failure` if the package is not installed, or not pure Python.
    """
    installed = _installed(package)
    if "Tag: py3-none-any" not in (installed.read_text("WHEEL") or ""):
        raise Failure(f"{package} is not pure Python", "Install it from an index, so that it is locked by its hash")
    stem = f"{module_of(package)}-{installed.version}"
    path = directory / f"{stem}-py3-none-any.whl"
    files = dict(_files(installed, f"{stem}.dist-info"))
    record = f"{stem}.dist-info/RECORD"
    files[record] = _record(files, record)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name in sorted(files, key=lambda name: (".dist-info/" in name, name)):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = _FILE_MODE
            info.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(info, files[name])
    return path


def is_local(package: str) -> bool:
    """Whether a package was installed from a directory of this machine, so that no index has it."""
    return "dir_info" in _origin(distribution(package))


def editable_source(installed: Distribution) -> Path | None:
    """The directory with the pyproject.toml of an editable install."""
    origin = _origin(installed)
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(origin["url"]).path))


def _installed(package: str) -> Distribution:
    try:
        return distribution(package)
    except PackageNotFoundError:
        raise Failure(f"{package} is not installed here, so no wheel can be made of it") from None


def _origin(installed: Distribution) -> dict[str, Any]:
    origin: dict[str, Any] = json.loads(installed.read_text("direct_url.json") or "{}")
    return origin


def _has_backend(source: Path) -> bool:
    """Whether what builds the source is installed here; else pip fetches it."""
    about = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
    backend = about.get("build-system", {}).get("build-backend", "setuptools")
    return importlib.util.find_spec(str(backend).partition(".")[0]) is not None


def _files(installed: Distribution, info: str) -> Iterator[tuple[str, bytes]]:
    """Names within the wheel, and contents."""
    for file in installed.files or ():
        name = file.as_posix()
        head, _, tail = name.partition("/")
        if head.endswith(".dist-info"):
            name = "" if tail in _LEFT_OUT else f"{info}/{tail}"
        elif not _belongs(name):
            name = ""
        if name:
            yield name, Path(str(file.locate())).read_bytes()


def _belongs(name: str) -> bool:
    """Neither a script, which an installer makes anew, nor bytecode."""
    return not name.startswith(("..", "/")) and "__pycache__" not in name and not name.endswith((".pyc", ".pth"))


def _record(files: dict[str, bytes], record: str) -> bytes:
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in sorted(files.items())]
    return "\n".join([*lines, f"{record},,", ""]).encode()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
