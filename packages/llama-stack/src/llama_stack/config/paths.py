"""Where state and configuration live: `~/.llama`, or what `LLAMA_STACK_CONFIG_DIR` names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

CONFIG_DIR_VARIABLE = "LLAMA_STACK_CONFIG_DIR"
SQLITE_DIR_VARIABLE = "SQLITE_STORE_DIR"


def home_dir(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def expand_home(text: str, home: Path) -> str:
    """`~` and `~/…` with the home directory in place of `~`; anything else as it is."""
    return f"{home}{text[1:]}" if text == "~" or text.startswith("~/") else text


def llama_dir(environ: Mapping[str, str]) -> Path:
    """The base directory, which need not exist."""
    home = home_dir(environ)
    return Path(expand_home(environ.get(CONFIG_DIR_VARIABLE) or "~/.llama", home))


def distribution_dir(distro_name: str, environ: Mapping[str, str]) -> Path:
    """Where a distribution keeps its state unless its config says otherwise; always below the base directory."""
    name = distro_name.replace("/", "-").replace("\\", "-").lstrip(".")
    return llama_dir(environ) / "distributions" / (name or "unnamed")


def storage_dir(distro_name: str, environ: Mapping[str, str]) -> Path:
    """Where the SQLite files go that no config places."""
    chosen = environ.get(SQLITE_DIR_VARIABLE)
    return Path(expand_home(chosen, home_dir(environ))) if chosen else distribution_dir(distro_name, environ)
