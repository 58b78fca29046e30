"""A file processor whose work is done in child processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, StrictBool, ValidationError

from llama_stack.providers._shared.parsing.pool import ParserPool
from llama_stack.providers._shared.parsing.settings import ParsingConfig
from llama_stack.providers._shared.parsing.wire import Job
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.ports.file_processors import ParsedFile, SourceFile
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext

OWN_PACKAGES: Final = (
    "charset-normalizer>=3.3,<4",
    "openpyxl>=3.1,<4",
    "pypdf>=5,<8",
    "pypdfium2>=4.30,<6",
    "python-docx>=1.1,<2",
    "python-pptx>=1,<2",
)
"""What the formats that we read by ourselves need."""


class Options(BaseModel):
    """What a request may say. `password` opens an encrypted file; the rest overrides the settings of that name."""

    model_config = ConfigDict(extra="forbid", defer_build=True, hide_input_in_errors=True)

    password: str | None = None
    extract_metadata: StrictBool | None = None
    clean_text: StrictBool | None = None


class PooledProcessor:
    """Subclasses say which engine reads their files."""

    engine: ClassVar[str]
    written_bytes_max: ClassVar[int] = 0
    """Temporary files that the engine may write, each of that size at most."""
    online: ClassVar[bool] = False
    """Whether the engine downloads its models."""

    def __init__(self, config: ParsingConfig, context: ProviderContext) -> None:
        self.config = config
        self._name = context.provider_id
        self._pool: ParserPool | None = None

    async def open(self) -> None:
        """Starts no process: the first file does."""
        self._pool = ParserPool(
            self.config,
            engine=self.engine,
            name=self._name,
            written_bytes_max=self.written_bytes_max,
            online=self.online,
        )

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    async def parse_file(self, source: SourceFile, options: Mapping[str, Any], call: Call) -> ParsedFile:
        assert self._pool is not None, "open() comes first"
        wanted = checked_options(options)
        clean, metadata = wanted.clean_text, wanted.extract_metadata
        return await self._pool.parse(
            Job(
                path=str(source.path),
                filename=_encodable(source.filename),
                content_type=_encodable(source.content_type),
                password=wanted.password,
                clean_text=self.config.clean_text if clean is None else clean,
                extract_metadata=self.config.extract_metadata if metadata is None else metadata,
            )
        )


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def checked_options(options: Mapping[str, Any]) -> Options:
    try:
        return Options.model_validate(options)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        known = ", ".join(Options.model_fields)
        raise InvalidRequest(
            f"options.{name}: {first['msg']}; known: {known}.", param="options", code="invalid_value"
        ) from None
