"""Microsoft's MarkItDown: office documents, PDF and web pages as Markdown."""

from __future__ import annotations

import importlib.util

from pydantic import Field

from llama_stack.providers._shared.parsing.processor import PooledProcessor
from llama_stack.providers._shared.parsing.settings import MIB, ParsingConfig
from llama_stack_api.api import Api
from llama_stack_api.errors import NotImplementedByProvider
from llama_stack_api.provider import provider


class MarkItDownConfig(ParsingConfig):
    processes_max: int = Field(default=1, ge=1, le=64)
    """Files that are parsed at the same time, each in a process of its own."""
    memory_bytes_max: int = Field(default=2048 * MIB, ge=512 * MIB)
    """Of one process (Linux)."""


@provider(
    api=Api.file_processors,
    type="inline::markitdown",
    description="Office documents, PDF and web pages as Markdown, by Microsoft's MarkItDown; no page numbers.",
    config=MarkItDownConfig,
    pip_packages=("markitdown>=0.1.3,<1",),
)
class MarkItDown(PooledProcessor):
    engine = "markitdown"

    async def open(self) -> None:
        if importlib.util.find_spec("markitdown") is None:
            raise NotImplementedByProvider("needs markitdown: pip install 'llama-stack[markitdown]'")
        await super().open()
