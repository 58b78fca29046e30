"""The settings of each tool, as its documentation has them; `tests/coding_agents` holds the tools to them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from llama_stack.cli.connect.documents import rendered
from llama_stack.cli.connect.target import ChatModel, Key, Target
from llama_stack.cli.connect.tools import known_tools
from llama_stack.cli.connect.tools.aider import Aider
from llama_stack.cli.connect.tools.claude import ClaudeCode
from llama_stack.cli.connect.tools.codex import Codex
from llama_stack.cli.connect.tools.opencode import OpenCode
from llama_stack.cli.connect.tools.qwen import QwenCode

CODER = ChatModel("ollama/coder", calls_tools=True, context_length=32768)
OTHER = ChatModel("ollama/other")
DEAF = ChatModel("ollama/deaf", calls_tools=False)


def target(**changes: Any) -> Target:
    return Target(**{"url": "http://localhost:8321", "model": CODER, "models": [CODER, OTHER, DEAF], **changes})


def test_codex() -> None:
    assert tomllib.loads(rendered("toml", Codex().settings(target()))) == {
        "model": "ollama/coder",
        "model_provider": "llama-stack",
        "model_context_window": 32768,
        "model_providers": {
            "llama-stack": {"name": "Llama Stack", "base_url": "http://localhost:8321/v1", "wire_api": "responses"}
        },
    }


def test_codex_takes_a_key_by_its_variable_or_as_text() -> None:
    def provider(key: Key) -> Any:
        return dict(Codex().settings(target(key=key)))["model_providers", "llama-stack"]

    assert provider(Key("MY_KEY"))["env_key"] == "MY_KEY"
    assert provider(Key("MY_KEY", "sk-1"))["experimental_bearer_token"] == "sk-1"
    assert "env_key" not in provider(Key("MY_KEY", "sk-1"))


def test_codex_is_launched_with_overrides_that_are_toml() -> None:
    launch = Codex().launch(target(), "sk-1")
    values = [text for text in launch.arguments if text != "-c"]
    data = tomllib.loads("\n".join(values))
    assert data["model_providers"]["llama-stack"]["env_key"] in launch.environ
    assert "sk-1" not in " ".join(launch.arguments), "others see a command line"


def test_claude_code_without_a_key_to_give() -> None:
    data = json.loads(rendered("json", ClaudeCode().settings(target())))
    assert data["env"]["ANTHROPIC_BASE_URL"] == "http://localhost:8321"
    assert data["env"]["ANTHROPIC_MODEL"] == "ollama/coder"
    assert data["env"]["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == "ollama/coder"
    assert data["env"]["ANTHROPIC_AUTH_TOKEN"] == "none"


def test_claude_code_asks_a_helper_for_the_key() -> None:
    data = json.loads(rendered("json", ClaudeCode().settings(target(key=Key("MY_KEY")))))
    assert data["apiKeyHelper"] == "printenv MY_KEY"
    assert "ANTHROPIC_AUTH_TOKEN" not in data["env"]


def test_claude_code_keeps_anthropics_names_where_the_server_has_them() -> None:
    theirs = ChatModel("anthropic/claude-sonnet-4-6", calls_tools=True)
    both = [CODER, theirs]
    assert "ANTHROPIC_MODEL" not in ClaudeCode().launch(target(models=both), None).environ
    assert ClaudeCode().launch(target(models=both, model_is_wish=True), None).environ["ANTHROPIC_MODEL"] == CODER.id


def test_a_key_for_anthropic_itself_does_not_come_here() -> None:
    environ = ClaudeCode().launch(target(), "sk-ours").environ
    assert environ["ANTHROPIC_API_KEY"] is None
    assert environ["ANTHROPIC_AUTH_TOKEN"] == "sk-ours"


def test_opencode() -> None:
    data = json.loads(rendered("json", OpenCode().settings(target(key=Key("MY_KEY")))))
    assert data["model"] == data["small_model"] == "llama-stack/ollama/coder"
    provider = data["provider"]["llama-stack"]
    assert provider["npm"] == "@ai-sdk/openai-compatible"
    assert provider["options"] == {"baseURL": "http://localhost:8321/v1", "apiKey": "{env:MY_KEY}"}
    assert set(provider["models"]) == {"ollama/coder", "ollama/other"}, "those that cannot call tools are left out"
    assert provider["models"]["ollama/coder"]["limit"] == {"context": 32768, "output": 8192}
    assert "limit" not in provider["models"]["ollama/other"]


def test_opencode_is_launched_without_the_key_in_its_config() -> None:
    environ = OpenCode().launch(target(), "sk-1").environ
    content = environ["OPENCODE_CONFIG_CONTENT"] or ""
    assert "sk-1" not in content
    variable = json.loads(content)["provider"]["llama-stack"]["options"]["apiKey"].removeprefix("{env:").rstrip("}")
    assert environ[variable] == "sk-1"


def test_tools_that_are_told_by_their_environment() -> None:
    qwen, aider = QwenCode().launch(target(), None), Aider().launch(target(), "sk-1")
    assert qwen.environ["OPENAI_BASE_URL"] == aider.environ["OPENAI_API_BASE"] == "http://localhost:8321/v1"
    assert qwen.environ["OPENAI_MODEL"] == "ollama/coder"
    assert aider.environ["AIDER_MODEL"] == "openai/ollama/coder"
    assert aider.environ["OPENAI_API_KEY"] == "sk-1"


@pytest.mark.parametrize(
    ("name", "environ", "file"),
    [
        ("codex", {}, "/h/.codex/config.toml"),
        ("codex", {"CODEX_HOME": "/c"}, "/c/config.toml"),
        ("claude", {}, "/h/.claude/settings.json"),
        ("claude", {"CLAUDE_CONFIG_DIR": "/c"}, "/c/settings.json"),
        ("opencode", {}, "/h/.config/opencode/opencode.json"),
        ("opencode", {"XDG_CONFIG_HOME": "/x"}, "/x/opencode/opencode.json"),
        ("opencode", {"OPENCODE_CONFIG": "/o.json"}, "/o.json"),
    ],
)
def test_where_each_keeps_its_settings(name: str, environ: dict[str, str], file: str) -> None:
    (tool,) = (tool for tool in known_tools() if tool.name == name)
    found = tool.config_file({"HOME": "/h", **environ})
    assert found is not None
    assert found.path == Path(file)


def test_a_config_of_opencode_with_comments_is_found(tmp_path: Path) -> None:
    (tmp_path / ".config" / "opencode").mkdir(parents=True)
    (tmp_path / ".config" / "opencode" / "opencode.jsonc").write_text("{}")
    assert OpenCode().config_file({"HOME": str(tmp_path)}).path.name == "opencode.jsonc"
