"""The settings of file processors that parse in child processes of this server."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from llama_stack.providers._shared.parsing.wire import Limits

MIB = 1024 * 1024


class ParsingConfig(BaseModel):
    """Whatever a file needs beyond these limits, that file fails, with the name of the limit; nothing else does."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    processes_max: int = Field(default=2, ge=1, le=64)
    """Files that are parsed at the same time, each in a process of its own."""
    waiting_max: int = Field(default=1000, ge=1)
    """Files that may wait for a free process."""
    timeout_s: float = Field(default=120, gt=0)
    """For one file, once its turn has come."""
    cpu_seconds_max: int = Field(default=90, ge=1)
    """Of computing for one file."""
    memory_bytes_max: int = Field(default=1024 * MIB, ge=128 * MIB)
    """Of one process (Linux)."""
    file_bytes_max: int = Field(default=512 * MIB, ge=1)
    text_chars_max: int = Field(default=20_000_000, ge=1)
    """Characters of text that a file may give; four of them are about a token."""
    pages_max: int = Field(default=20_000, ge=1)
    """Pages, slides or sheets."""
    unpacked_bytes_max: int = Field(default=512 * MIB, ge=1)
    """What is packed in an office file, unpacked."""
    files_per_process_max: int = Field(default=2000, ge=1)
    """After so many files a process is replaced by a fresh one."""
    extract_metadata: bool = True
    """Whether title, author and the like are reported, where a file has them."""
    clean_text: bool = False
    """Whether runs of spaces and of empty lines in the text of a PDF are reduced to one."""
    default_chunk_size_tokens: int = Field(default=800, ge=1)
    """Of chunks, where a request asks for the chunking strategy `auto`."""
    default_chunk_overlap_tokens: int = Field(default=400, ge=0)

    @model_validator(mode="after")
    def _overlap_is_smaller(self) -> ParsingConfig:
        if self.default_chunk_overlap_tokens >= self.default_chunk_size_tokens:
            raise ValueError("default_chunk_overlap_tokens must be smaller than default_chunk_size_tokens")
        return self

    def limits(self, written_bytes_max: int = 0) -> Limits:
        return Limits(
            memory_bytes_max=self.memory_bytes_max,
            cpu_seconds_max=self.cpu_seconds_max,
            file_bytes_max=self.file_bytes_max,
            text_chars_max=self.text_chars_max,
            pages_max=self.pages_max,
            unpacked_bytes_max=self.unpacked_bytes_max,
            written_bytes_max=written_bytes_max,
        )
