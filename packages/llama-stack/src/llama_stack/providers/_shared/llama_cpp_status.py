"""How a llama.cpp child is doing: one small file that the child and its keeper write and every worker reads."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import msgspec

State = Literal["absent", "starting", "downloading", "loading", "ready", "stopped", "failed"]


class Status(msgspec.Struct, frozen=True):
    """`message` is for clients: it says what to do and names no path. `at` is in seconds since the epoch."""

    state: State = "absent"
    message: str = ""
    pid: int = 0
    at: float = 0.0

    def describe(self) -> str:
        return f"{self.state} ({self.message})" if self.message else self.state


def read(path: Path) -> Status:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Status)
    except (FileNotFoundError, msgspec.DecodeError):
        return Status()


def write(path: Path, state: State, message: str = "", pid: int = 0) -> None:
    """Replaces the file at once, so that a reader never sees half of it."""
    part = path.with_suffix(f".{pid or 'keeper'}.part")
    part.write_bytes(msgspec.json.encode(Status(state, message, pid, time.time())))
    part.replace(path)
