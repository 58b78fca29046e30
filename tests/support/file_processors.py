"""A file processor with a folder of its own: `await processor.read(b"…", "a.pdf")`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from llama_stack.net.client import NetClient
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.ports.file_processors import ParsedFile, SourceFile
from llama_stack_api.ports.lifecycle import Closes, Opens
from llama_stack_api.principal import Call
from llama_stack_api.provider import Descriptor, ProviderContext


class Processor:
    def __init__(self, impl: Any, folder: Path) -> None:
        self.impl = impl
        self._folder = folder

    @property
    def pids(self) -> list[int]:
        """Of its child processes."""
        pids: list[int] = self.impl._pool.pids
        return pids

    def kept(self, content: bytes) -> Path:
        path = self._folder / uuid4().hex
        path.write_bytes(content)
        return path

    async def read(
        self, content: bytes, filename: str = "", content_type: str = "", *, call: Call | None = None, **options: Any
    ) -> ParsedFile:
        """The parsed file, whose promises of the port are checked."""
        path = self.kept(content)
        try:
            return await self.read_path(path, filename, content_type, call=call, **options)
        finally:
            path.unlink()

    async def read_path(
        self, path: Path, filename: str = "", content_type: str = "", *, call: Call | None = None, **options: Any
    ) -> ParsedFile:
        parsed: ParsedFile = await self.impl.parse_file(
            SourceFile(path, filename, content_type), options, call or Call()
        )
        check_promises(parsed)
        return parsed


def check_promises(parsed: ParsedFile) -> None:
    assert "\0" not in parsed.text
    assert "\r" not in parsed.text
    parsed.text.encode()
    end = 0
    for page in parsed.pages:
        assert end <= page.start < page.end <= len(parsed.text)
        end = page.end
    numbers = [page.number for page in parsed.pages]
    assert numbers == sorted(set(numbers))


def page_texts(parsed: ParsedFile) -> dict[int, str]:
    return {page.number: parsed.text[page.start : page.end] for page in parsed.pages}


@asynccontextmanager
async def opened(cls: type, folder: Path, **config: Any) -> AsyncIterator[Processor]:
    descriptor: Descriptor = vars(cls)["__provider__"]
    async with AsyncExitStack() as exits:

        def client(network: Any) -> NetClient:
            made = NetClient(network, name=descriptor.name)
            exits.push_async_callback(made.aclose)
            return made

        context = ProviderContext(
            provider_id=descriptor.name,
            provider_type=descriptor.type,
            state_dir=folder / "state",
            http=client,
            kv=MemoryKV().bind("default", descriptor.name),
        )
        impl = descriptor.create(descriptor.config.model_validate(config), context)
        if isinstance(impl, Opens):
            await impl.open()
        if isinstance(impl, Closes):
            exits.push_async_callback(impl.close)
        yield Processor(impl, folder)
