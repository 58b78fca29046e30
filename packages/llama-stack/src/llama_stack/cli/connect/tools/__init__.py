"""The tools that `connect` knows, one module each."""

from __future__ import annotations

from collections.abc import Sequence

from llama_stack.cli.connect.target import Tool
from llama_stack.cli.connect.tools.aider import Aider
from llama_stack.cli.connect.tools.claude import ClaudeCode
from llama_stack.cli.connect.tools.codex import Codex
from llama_stack.cli.connect.tools.opencode import OpenCode
from llama_stack.cli.connect.tools.qwen import QwenCode


def known_tools() -> Sequence[Tool]:
    return (ClaudeCode(), Codex(), OpenCode(), QwenCode(), Aider())
