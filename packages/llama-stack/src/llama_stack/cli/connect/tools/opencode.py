"""opencode, which speaks chat completions to a provider that its opencode.json describes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llama_stack.cli.connect.documents import put
from llama_stack.cli.connect.target import PROVIDER_ID, ChatModel, ConfigFile, Key, Launch, Settings, Target
from llama_stack.config.paths import home_dir

KEY_VARIABLE = "LLAMA_STACK_CONNECT_KEY"
"""In the environment of an opencode that `connect` starts."""
CONTENT_VARIABLE = "OPENCODE_CONFIG_CONTENT"
OUTPUT_TOKENS_MAX = 8192
"""opencode wants a limit of output beside that of the context; a reply is at most half of it."""


class OpenCode:
    name = "opencode"
    title = "opencode"
    program = "opencode"
    install = "npm install -g opencode-ai"

    def config_file(self, environ: Mapping[str, str]) -> ConfigFile:
        if said := environ.get("OPENCODE_CONFIG"):
            return ConfigFile(Path(said), "json")
        base = environ.get("XDG_CONFIG_HOME")
        directory = (Path(base) if base else home_dir(environ) / ".config") / "opencode"
        with_comments = directory / "opencode.jsonc"
        return ConfigFile(with_comments if with_comments.exists() else directory / "opencode.json", "json")

    def settings(self, target: Target) -> Settings:
        name = f"{PROVIDER_ID}/{target.model.id}"
        return {
            ("model",): name,
            ("small_model",): name,
            ("provider", PROVIDER_ID): _provider(target, target.key),
        }

    def launch(self, target: Target, key: str | None) -> Launch:
        config: dict[str, Any] = {}
        for path, value in self.settings(target).items():
            put(config, path, value)
        put(config, ("provider", PROVIDER_ID), _provider(target, Key(KEY_VARIABLE) if key else None))
        return Launch((), {CONTENT_VARIABLE: json.dumps(config, ensure_ascii=False), KEY_VARIABLE: key})


def _provider(target: Target, key: Key | None) -> dict[str, Any]:
    options = {"baseURL": f"{target.url}/v1"}
    if key is not None:
        options["apiKey"] = key.text or f"{{env:{key.variable}}}"
    chosen = [model for model in target.models if model.calls_tools is not False]
    return {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Llama Stack",
        "options": options,
        "models": {model.id: _model(model) for model in [target.model, *chosen]},
    }


def _model(model: ChatModel) -> dict[str, Any]:
    about: dict[str, Any] = {"name": model.id}
    if model.context_length:
        output = min(OUTPUT_TOKENS_MAX, model.context_length // 2)
        about["limit"] = {"context": model.context_length, "output": output}
    return about
