"""The log: form, levels, secrets, and a reader that does not read."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from llama_stack.config.logs import LoggingConfig
from llama_stack.telemetry.access import AccessLog
from llama_stack.telemetry.logs import get_logger, logging_settings, logs
from llama_stack.telemetry.writer import LINES_QUEUED_MAX, LogWriter


def logged(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_lines_and_those_of_libraries_have_one_form() -> None:
    stream = io.StringIO()
    with logs(LoggingConfig(), stream):
        get_logger("routing").info("fell back", model="m", attempts=2)
        logging.getLogger("some.library").warning("took %d ms", 5)
    ours, theirs = logged(stream)
    assert (ours["event"], ours["model"], ours["level"], ours["logger"]) == (
        "fell back",
        "m",
        "info",
        "llama_stack.routing",
    )
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("took 5 ms", "warning", "some.library")
    assert ours["timestamp"].endswith("Z")


def test_secrets_are_masked() -> None:
    stream = io.StringIO()
    with logs(LoggingConfig(), stream):
        get_logger("http").info(
            "called",
            api_key="sk-1",
            headers={"authorization": "sk-2"},
            deep={"more": [{"client_secret": "sk-3"}]},
            typed=SecretStr("sk-4"),
            url="https://me:sk-5@example.com/x",
            max_tokens=7,
        )
    assert "sk-" not in stream.getvalue()
    assert logged(stream)[0]["max_tokens"] == 7


def test_a_traceback_shows_no_local_variables() -> None:
    for format in ("json", "text"):
        stream = io.StringIO()
        with logs(LoggingConfig.model_validate({"format": format}), stream):
            prompt = "a very private prompt"
            try:
                raise ValueError(len(prompt))
            except ValueError:
                get_logger("http").exception("failed")
        assert "ValueError: 21" in stream.getvalue()
        assert prompt not in stream.getvalue()


def test_levels_by_category() -> None:
    stream = io.StringIO()
    settings = logging_settings(
        LoggingConfig(category_levels={"root": "error"}), {"LLAMA_STACK_LOGGING": "http=debug, some.library=info"}
    )
    with logs(settings, stream):
        get_logger("http").debug("one")
        get_logger("routing").warning("two")
        logging.getLogger("some.library").info("three")
        get_logger("routing").error("four")
    assert [line["event"] for line in logged(stream)] == ["one", "three", "four"]


def test_the_environment_wins_over_the_config(tmp_path: Path) -> None:
    environ = {
        "LLAMA_STACK_LOGGING": "all=debug",
        "LLAMA_STACK_LOG_FILE": str(tmp_path / "deep" / "x.log"),
        "LLAMA_STACK_LOG_FORMAT": "TEXT",
    }
    settings = logging_settings(LoggingConfig(category_levels={"http": "error"}, format="json"), environ)
    assert settings.category_levels == {"http": "error", "all": "debug"}
    with logs(settings):
        get_logger("routing").debug("into the file", number=1)
    text = (tmp_path / "deep" / "x.log").read_text()
    assert "into the file" in text
    assert "number=1" in text


@pytest.mark.parametrize("levels", ["http", "http=loud", "=;x"])
def test_wrong_levels_are_refused(levels: str) -> None:
    with pytest.raises((ValueError, ValidationError)):
        logging_settings(None, {"LLAMA_STACK_LOGGING": levels})


def test_after_the_block_nothing_is_left() -> None:
    handlers = list(logging.getLogger().handlers)
    threads = threading.active_count()
    with logs(LoggingConfig(), io.StringIO()):
        assert threading.active_count() == threads + 1
    assert logging.getLogger().handlers == handlers
    assert threading.active_count() == threads


@pytest.mark.anyio
async def test_the_access_log() -> None:
    stream = io.StringIO()
    with logs(LoggingConfig(), stream) as log:
        assert log.access is not None
        log.access.add(b"req_1", "POST", "/v1/x\n\x1b[31m", 200, 0.0123, "ann", None)
        log.access.add(b"req_2", "GET", "/v1/y", 404, 0.001, "anonymous", "not_found")
    first, second = logged(stream)
    assert (first["event"], first["status"], first["duration_ms"], first["principal"]) == ("request", 200, 12.3, "ann")
    assert first["path"] == "/v1/x\n\x1b[31m"
    assert "code" not in first
    assert second["code"] == "not_found"


@pytest.mark.anyio
async def test_the_access_log_as_text_has_one_line_per_request_whatever_the_path() -> None:
    stream = io.StringIO()
    with LogWriter(stream) as writer:
        access = AccessLog(writer, as_json=False)
        access.add(b"req_1", "GET", "/a\nb\x1b[31m\u2028", 404, 0.001, "ann", "not_found")
        access.close()
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("GET /a\\nb\\x1b[31m\\u2028 404 1.0ms not_found req_1 ann")


@pytest.mark.anyio
async def test_the_access_log_is_written_soon_without_being_closed() -> None:
    stream = io.StringIO()
    with LogWriter(stream) as writer:
        access = AccessLog(writer, as_json=True)
        access.add(b"req_1", "GET", "/", 200, 0.1, "ann", None)
        async with asyncio.timeout(5):
            while not stream.getvalue():
                await asyncio.sleep(0.01)


def test_no_access_log_above_info() -> None:
    with logs(LoggingConfig(category_levels={"access": "warning"}), io.StringIO()) as log:
        assert log.access is None


class Stalled(io.StringIO):
    """A terminal that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.go = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.go.wait(10)
        return super().write(text)


def test_a_reader_that_stalls_blocks_nobody_and_lines_are_dropped_aloud() -> None:
    stream = Stalled()
    with LogWriter(stream) as writer:
        writer.write("first")
        assert stream.reached.wait(5)
        for number in range(LINES_QUEUED_MAX + 50):
            writer.write(str(number))
        stream.go.set()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1 + LINES_QUEUED_MAX + 1
    assert lines[1].startswith("50 log lines were dropped")
