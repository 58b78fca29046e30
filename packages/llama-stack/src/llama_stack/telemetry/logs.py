"""The log: structlog for what we say, one handler for what libraries say, both in the same form to the same place.

Nothing logs prompts, documents or bodies. Values under a key that names a secret are masked, whoever logs them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import structlog

from llama_stack.config.logs import LoggingConfig
from llama_stack.config.redact import redact
from llama_stack.telemetry.access import AccessLog
from llama_stack.telemetry.writer import LogWriter

Logger: TypeAlias = structlog.stdlib.BoundLogger

LEVELS_VARIABLE = "LLAMA_STACK_LOGGING"
FILE_VARIABLE = "LLAMA_STACK_LOG_FILE"
FORMAT_VARIABLE = "LLAMA_STACK_LOG_FORMAT"

PACKAGE = "llama_stack"
ACCESS = "access"
_ALL = ("root", "all")
_META = ("_record", "_from_structlog", "exc_info")
# Chatty at info about what our own lines say better.
_QUIET = {"uvicorn.access": "warning", "aiohttp.access": "warning", "httpx": "warning", "alembic": "warning"}


def get_logger(category: str) -> Logger:
    """A category is a part of the server (`http`, `routing`); `LLAMA_STACK_LOGGING` sets levels by it."""
    logger: Logger = structlog.stdlib.get_logger(f"{PACKAGE}.{category}")
    return logger


def logging_settings(config: LoggingConfig | None, environ: Mapping[str, str]) -> LoggingConfig:
    """What the config says, under what the environment says."""
    settings = config or LoggingConfig()
    changes: dict[str, Any] = {}
    if levels := environ.get(LEVELS_VARIABLE):
        changes["category_levels"] = settings.category_levels | _parse_levels(levels)
    if file := environ.get(FILE_VARIABLE):
        changes["file"] = file
    if format := environ.get(FORMAT_VARIABLE):
        changes["format"] = format.lower()
    return LoggingConfig.model_validate(settings.model_dump() | changes)


@dataclass(frozen=True, slots=True)
class Logs:
    """`access` is None where the level of category `access` is above info."""

    writer: LogWriter
    access: AccessLog | None


@contextmanager
def logs(settings: LoggingConfig, stream: TextIO | None = None) -> Iterator[Logs]:
    """The process's log, from here to the end of the block. `stream` is what to write to if not to a file."""
    file = open_log(settings.file) if settings.file is not None else None
    target = file or stream or sys.stderr
    as_json = settings.format == "json" if settings.format else not target.isatty()
    writer = LogWriter(target)
    handler = _Handler(writer)
    handler.setFormatter(_formatter(as_json, colors=not as_json and target.isatty()))
    root = logging.getLogger()
    root.addHandler(handler)
    _set_levels(settings.category_levels)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    access_enabled = logging.getLogger(f"{PACKAGE}.{ACCESS}").isEnabledFor(logging.INFO)
    access = AccessLog(writer, as_json=as_json) if access_enabled else None
    try:
        yield Logs(writer, access)
    finally:
        if access is not None:
            access.close()
        root.removeHandler(handler)
        structlog.reset_defaults()
        writer.close()
        if file is not None:
            file.close()


def open_log(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a", encoding="utf-8", errors="backslashreplace")


def mask_secrets(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor."""
    said = {key: value for key, value in event.items() if key not in _META}
    return {**event, **redact(said)}


class _Handler(logging.Handler):
    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(self.format(record))
        except Exception:  # noqa: BLE001 - a record that cannot be formatted must not fail whoever logged it
            self.handleError(record)


def _formatter(as_json: bool, *, colors: bool) -> logging.Formatter:
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(default=str)
        if as_json
        # Plain tracebacks: those with local variables would show prompts and keys, and take seconds.
        else structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    )
    finish: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        finish.append(structlog.processors.format_exc_info)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared_processors(), processors=[*finish, renderer], use_get_message=True
    )


def _shared_processors() -> list[structlog.typing.Processor]:
    return [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask_secrets,
    ]


def _set_levels(levels: Mapping[str, str]) -> None:
    everything = next((levels[name] for name in _ALL if name in levels), "info")
    logging.getLogger().setLevel(everything.upper())
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level.upper())
    for category, level in levels.items():
        if category not in _ALL:
            # A category is a part of the server or, failing that, a library.
            logging.getLogger(f"{PACKAGE}.{category}").setLevel(level.upper())
            logging.getLogger(category).setLevel(level.upper())


def _parse_levels(text: str) -> dict[str, str]:
    levels: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in text.replace(";", ",").split(","))):
        category, found, level = part.partition("=")
        if not found:
            raise ValueError(f"{LEVELS_VARIABLE}: {part!r} is not of the form category=level")
        levels[category.strip()] = level.strip()
    return levels
