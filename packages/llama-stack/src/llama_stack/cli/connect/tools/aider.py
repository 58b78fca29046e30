"""aider, which speaks chat completions and takes address, key and model from its environment."""

from __future__ import annotations

from collections.abc import Mapping

from llama_stack.cli.connect.target import Launch, Settings, Target

NO_KEY = "none"
"""Its client library wants a key, whatever it is."""


class Aider:
    name = "aider"
    title = "aider"
    program = "aider"
    install = "pipx install aider-chat"

    def config_file(self, environ: Mapping[str, str]) -> None:
        return None

    def settings(self, target: Target) -> Settings:
        return {}

    def launch(self, target: Target, key: str | None) -> Launch:
        variables = {
            "OPENAI_API_BASE": f"{target.url}/v1",
            "OPENAI_API_KEY": key or NO_KEY,
            # The prefix says which dialect it is to speak.
            "AIDER_MODEL": f"openai/{target.model.id}",
        }
        return Launch((), variables)
