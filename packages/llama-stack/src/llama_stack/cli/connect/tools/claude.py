"""Claude Code, which speaks Messages: variables, which its settings.json may hold under `env`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llama_stack.cli.connect.target import ConfigFile, Launch, Settings, Target
from llama_stack.config.paths import home_dir

NO_KEY = "none"
"""It does not start without any credential; a server that asks for none takes any text."""


class ClaudeCode:
    name = "claude"
    title = "Claude Code"
    program = "claude"
    install = "npm install -g @anthropic-ai/claude-code"

    def config_file(self, environ: Mapping[str, str]) -> ConfigFile:
        home = environ.get("CLAUDE_CONFIG_DIR")
        return ConfigFile((Path(home) if home else home_dir(environ) / ".claude") / "settings.json", "json")

    def settings(self, target: Target) -> Settings:
        chosen: dict[tuple[str, ...], Any] = {("env", name): value for name, value in _variables(target).items()}
        if target.key is None or target.key.text:
            chosen["env", "ANTHROPIC_AUTH_TOKEN"] = target.key.text if target.key else NO_KEY
        else:
            chosen["apiKeyHelper",] = f"printenv {shlex.quote(target.key.variable)}"
        return chosen

    def launch(self, target: Target, key: str | None) -> Launch:
        # A key for Anthropic itself must not come here.
        credentials = {"ANTHROPIC_API_KEY": None, "ANTHROPIC_AUTH_TOKEN": key or NO_KEY}
        return Launch((), _variables(target) | credentials)


def _variables(target: Target) -> dict[str, str]:
    """Where the server has Anthropic's own models, their names stay; else the one model stands for all of them."""
    variables = {"ANTHROPIC_BASE_URL": target.url}
    theirs = any(model.id.rpartition("/")[2].startswith("claude-") for model in target.models)
    if theirs and not target.model_is_wish:
        return variables
    names = ("ANTHROPIC_MODEL", *(f"ANTHROPIC_DEFAULT_{size}_MODEL" for size in ("OPUS", "SONNET", "HAIKU")))
    return variables | dict.fromkeys(names, target.model.id)
