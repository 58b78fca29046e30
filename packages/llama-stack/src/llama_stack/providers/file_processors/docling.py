"""Docling on this machine: layout, tables and scanned pages, by models that it downloads once."""

from __future__ import annotations

import importlib.util

from pydantic import Field

from llama_stack.providers._shared.parsing.processor import PooledProcessor
from llama_stack.providers._shared.parsing.settings import MIB, ParsingConfig
from llama_stack_api.api import Api
from llama_stack_api.errors import NotImplementedByProvider
from llama_stack_api.provider import provider


class DoclingConfig(ParsingConfig):
    processes_max: int = Field(default=1, ge=1, le=64)
    """Files that are parsed at the same time, each in a process of its own."""
    timeout_s: float = Field(default=1800, gt=0)
    """For one file, once its turn has come."""
    cpu_seconds_max: int = Field(default=7200, ge=1)
    """Of computing for one file."""
    memory_bytes_max: int = Field(default=16 * 1024 * MIB, ge=1024 * MIB)
    """Of one process (Linux)."""


@provider(
    api=Api.file_processors,
    type="inline::docling",
    description="Layout, tables and scanned pages as Markdown with page numbers, by Docling and its models.",
    config=DoclingConfig,
    pip_packages=("docling>=2.40,<3",),
)
class Docling(PooledProcessor):
    engine = "docling"
    written_bytes_max = 4 * 1024 * MIB
    online = True

    async def open(self) -> None:
        if importlib.util.find_spec("docling") is None:
            raise NotImplementedByProvider("needs docling: pip install 'llama-stack[docling]'")
        await super().open()
