"""`server.files`: what uploaded files may use, and how often what is over is cleared away."""

from __future__ import annotations

from pydantic import Field

from llama_stack.config.section import Section

_MIB = 1024 * 1024
_GIB = 1024 * _MIB


def setting(name: str) -> str:
    """What an error calls the limit `name`."""
    return f"server.files.{name}"


class FilesConfig(Section):
    bytes_max: int = Field(default=4 * _GIB, ge=1)
    """Bytes of one file that comes in one request."""
    upload_bytes_max: int = Field(default=8 * _GIB, ge=1)
    """Bytes of one file that comes in parts (`/v1/uploads`)."""
    part_bytes_max: int = Field(default=64 * _MIB, ge=1)
    """Bytes of one part."""
    parts_max: int = Field(default=10_000, ge=1)
    """Parts of one upload."""
    uploads_max: int = Field(default=100, ge=1)
    """Uploads of one owner that are not completed yet; requests of the same moment may exceed it by their number."""
    files_max: int = Field(default=100_000, ge=1)
    """Files of one owner; requests of the same moment may exceed it by their number."""
    bytes_total_max: int | None = Field(default=None, ge=1)
    """Bytes of all files and parts of one owner; absent: no limit. Requests of the same moment may exceed it."""
    filename_chars_max: int = Field(default=1024, ge=16)
    """Characters of a file's name."""
    upload_timeout_s: float = Field(default=3600, gt=0)
    """Seconds that one request may take to send its file. A client that sends nothing for
    `server.limits.body_timeout_s` is refused before."""
    uploads_expire_after_s: float = Field(default=3600, gt=0)
    """Seconds until an upload that was not completed expires."""
    batch_files_expire_after_s: int | None = Field(default=30 * 24 * 3600, ge=3600)
    """Seconds that a file of the purpose `batch` is kept where its upload does not say; absent: for ever."""
    sweep_interval_s: float = Field(default=60, gt=0)
    """Seconds between rounds that remove what has expired, and what a crash left half done."""
