"""Qwen Code, which speaks chat completions and takes address, key and model from its environment."""

from __future__ import annotations

from collections.abc import Mapping

from llama_stack.cli.connect.target import Launch, Settings, Target

NO_KEY = "none"
"""It asks for a login where there is no key at all."""


class QwenCode:
    name = "qwen"
    title = "Qwen Code"
    program = "qwen"
    install = "npm install -g @qwen-code/qwen-code"

    def config_file(self, environ: Mapping[str, str]) -> None:
        return None

    def settings(self, target: Target) -> Settings:
        return {}

    def launch(self, target: Target, key: str | None) -> Launch:
        variables = {
            "OPENAI_BASE_URL": f"{target.url}/v1",
            "OPENAI_MODEL": target.model.id,
            "OPENAI_API_KEY": key or NO_KEY,
        }
        return Launch(("--auth-type", "openai"), variables)
