from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from llama_stack.cli.main import commands

Llama = Callable[..., Result]


@pytest.fixture(name="llama")
def _llama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Llama:
    """Runs `llama …` in this process, in a home directory of its own and without provider variables."""
    for name in ("LLAMA_STACK_CONFIG_DIR", "SQLITE_STORE_DIR", "LLAMA_STACK_PORT", "OPENAI_API_KEY", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def run(*arguments: str, **environ: str) -> Result:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(commands(), ["stack", *arguments], prog_name="llama")

    return run


ConfigFile = Callable[..., Path]


@pytest.fixture
def config_file(tmp_path: Path) -> ConfigFile:
    """Writes a run config with the given sections and gives its path."""

    def write(providers: dict[str, Any] | None = None, **sections: Any) -> Path:
        path = tmp_path / "run.yaml"
        config = {"version": 2, "distro_name": "test", "providers": providers or {}, **sections}
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        return path

    return write
