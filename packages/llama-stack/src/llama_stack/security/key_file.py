"""API keys in a file of their own, which may change while the server runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import structlog
import yaml
from pydantic import TypeAdapter, ValidationError

from llama_stack.config.auth import ApiKey

FILE_BYTES_MAX = 4 * 1024 * 1024


class KeyFileUnreadable(ValueError):
    """What is wrong with the file, without anything that is in it."""


class KeyFile:
    """Read again when it has changed, looked at every `interval_s` at most.

    A file that can no longer be read leaves the keys as they were and says so in the log, once per change. At the first
    reading it raises `KeyFileUnreadable`: a server that lets nobody in should not start.
    """

    def __init__(
        self,
        path: Path,
        *,
        interval_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._log = structlog.stdlib.get_logger("llama_stack.security")
        self._interval_s = interval_s
        self._clock = clock
        self._look_again_at = 0.0
        self._seen: tuple[int, int, int] | None = None
        self._loaded = False

    def changed(self) -> list[ApiKey] | None:
        """All keys of the file, or None if they are those of the last time."""
        now = self._clock()
        if self._loaded and now < self._look_again_at:
            return None
        self._look_again_at = now + self._interval_s
        stamp = self._stamp()
        if self._loaded and stamp == self._seen:
            return None
        self._seen = stamp
        try:
            keys = read_keys(self._path)
        except KeyFileUnreadable as error:
            if not self._loaded:
                raise
            self._log.error("API keys stay as they were", reason=str(error))
            return None
        self._loaded = True
        return keys

    def look_now(self) -> None:
        self._look_again_at = 0.0

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def read_keys(path: Path) -> list[ApiKey]:
    """A YAML or JSON list of keys, or a mapping with that list under `keys`."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise KeyFileUnreadable(f"{path} cannot be read: {error.strerror}") from None
    if len(text) > FILE_BYTES_MAX:
        raise KeyFileUnreadable(f"{path} is larger than {FILE_BYTES_MAX} bytes")
    try:
        data = yaml.safe_load(text)
        keys = data.get("keys") if isinstance(data, dict) else data
        return TypeAdapter(list[ApiKey]).validate_python(keys or [])
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise KeyFileUnreadable(f"{path} is not valid YAML{where}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "the file"
        raise KeyFileUnreadable(f"{path}: {place}: {first['msg']}") from None
