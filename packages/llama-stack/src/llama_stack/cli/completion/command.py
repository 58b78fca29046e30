"""`completion`: the script that makes a shell complete `llama stack …`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]) -> None:
    """Print a script that completes commands, options, distributions and provider types.

    bash: eval "$(llama stack completion bash)" in ~/.bashrc. zsh: the same in ~/.zshrc, behind compinit. fish: llama
    stack completion fish > ~/.config/fish/completions/llama.fish
    """
    from llama_stack.cli.completion.scripts import SCRIPTS

    print(SCRIPTS[shell.value], end="")
