"""What a tool is pointed at, and what doing so takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

PROVIDER_ID = "llama-stack"
"""How tools that know several providers call ours."""

KeyPath: TypeAlias = tuple[str, ...]
Settings: TypeAlias = Mapping[KeyPath, Any]
"""A tool's settings by their place in its config file; a value may be a whole table."""


@dataclass(frozen=True, slots=True)
class ChatModel:
    """`calls_tools` is None where the server does not say; `context_length` is in tokens."""

    id: str
    calls_tools: bool | None = None
    context_length: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """The key with which to ask: the variable that has it, and its text where that is to be written down."""

    variable: str
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """`url` is without `/v1`. `model` was chosen among `models`, which are all that chat. `key` is None if the server
    asks for none. `model_is_wish` tells a model that the user named from one that we found."""

    url: str
    model: ChatModel
    models: Sequence[ChatModel]
    key: Key | None = None
    model_is_wish: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """What the tool is started with: arguments in front of the user's, variables to set (None: to take away)."""

    arguments: Sequence[str] = ()
    environ: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A tool's own config file."""

    path: Path
    format: Literal["toml", "json"]


class Tool(Protocol):
    """A program that can be pointed at a server. One module each, in `tools/`."""

    name: str
    title: str
    program: str
    install: str
    """A command that installs it."""

    def config_file(self, environ: Mapping[str, str]) -> ConfigFile | None:
        """None: it is told by its environment alone."""
        ...

    def settings(self, target: Target) -> Settings: ...

    def launch(self, target: Target, key: str | None) -> Launch:
        """Without any file; `key` is the text of the key, None if none is needed."""
        ...
