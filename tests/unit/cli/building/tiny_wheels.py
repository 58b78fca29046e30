"""Wheels of a few bytes in a directory that pip takes for its index, so that resolving needs no network."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest


def tiny_wheel(
    directory: Path, name: str, version: str = "1.0", *requires: str, scripts: str = "", code: str = ""
) -> Path:
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    extras = sorted({word.split("'")[1] for word in requires if "extra ==" in word})
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Provides-Extra: {extra}" for extra in extras] + [f"Requires-Dist: {each}" for each in requires]
    files = {
        f"{module}/__init__.py": code,
        f"{info}/METADATA": "\n".join([*metadata, ""]),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": scripts,
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in files.items():
            wheel.writestr(file, content)
    return path


def only_index(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip finds what is in `directory`, and nothing else."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
