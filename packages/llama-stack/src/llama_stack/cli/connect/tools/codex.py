"""Codex CLI, which speaks Responses: a provider in its config.toml."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llama_stack.cli.connect.target import PROVIDER_ID, ConfigFile, Key, Launch, Settings, Target
from llama_stack.config.paths import home_dir

KEY_VARIABLE = "LLAMA_STACK_CONNECT_KEY"
"""In the environment of a Codex that `connect` starts."""


class Codex:
    name = "codex"
    title = "Codex CLI"
    program = "codex"
    install = "npm install -g @openai/codex"

    def config_file(self, environ: Mapping[str, str]) -> ConfigFile:
        home = environ.get("CODEX_HOME")
        return ConfigFile((Path(home) if home else home_dir(environ) / ".codex") / "config.toml", "toml")

    def settings(self, target: Target) -> Settings:
        chosen: dict[tuple[str, ...], Any] = {("model",): target.model.id, ("model_provider",): PROVIDER_ID}
        if target.model.context_length:
            chosen["model_context_window",] = target.model.context_length
        return chosen | {("model_providers", PROVIDER_ID): _provider(target, target.key)}

    def launch(self, target: Target, key: str | None) -> Launch:
        settings = dict(self.settings(target))
        provider = _provider(target, Key(KEY_VARIABLE) if key else None)
        del settings["model_providers", PROVIDER_ID]
        settings |= {("model_providers", PROVIDER_ID, name): value for name, value in provider.items()}
        # The value of -c is TOML, whose texts and numbers are written as JSON writes them.
        overrides = [f"{'.'.join(path)}={json.dumps(value, ensure_ascii=False)}" for path, value in settings.items()]
        return Launch([part for each in overrides for part in ("-c", each)], {KEY_VARIABLE: key})


def _provider(target: Target, key: Key | None) -> dict[str, str]:
    provider = {"name": "Llama Stack", "base_url": f"{target.url}/v1", "wire_api": "responses"}
    if key is None:
        return provider
    return provider | ({"experimental_bearer_token": key.text} if key.text else {"env_key": key.variable})
