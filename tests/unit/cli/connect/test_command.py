"""`llama stack connect`, against a server on loopback that answers as ours does."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Llama
from tests.unit.cli.test_detect import free_port

KEY = "sk-ls-1"


def model(name: str, **about: Any) -> dict[str, Any]:
    return {"id": name, "object": "model", "custom_metadata": {"model_type": "llm", **about}}


EMBEDDER = model("minilm/e", model_type="embedding")
TRUSTED = model("a/coder", tool_calling=True, context_length=1000)
UNKNOWN = model("a/unknown")
DEAF = model("a/deaf", tool_calling=False)


class Served(ThreadingHTTPServer):
    """`calls` are the models that call a tool when they are offered one; `key` is what clients must send."""

    def __init__(self, models: list[dict[str, Any]], calls: tuple[str, ...], key: str | None) -> None:
        self.models, self.calls, self.key = models, calls, key
        self.tried: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Served

    def do_GET(self) -> None:
        self.answer(200, {"object": "list", "data": self.server.models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.tried.append(body["model"])
        if body["model"] in self.server.calls:
            call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
            self.answer(200, {"choices": [{"message": {"role": "assistant", "tool_calls": [call]}}]})
        else:
            self.answer(400, {"error": {"message": "This model has no tools."}})

    def answer(self, status: int, reply: dict[str, Any]) -> None:
        if self.server.key and self.headers.get("Authorization") != f"Bearer {self.server.key}":
            status, reply = 401, {"error": {"message": "no"}}
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(*models: dict[str, Any], calls: tuple[str, ...] = (), key: str | None = None) -> Iterator[Served]:
    with Served(list(models), calls, key) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CODEX_HOME", "CLAUDE_CONFIG_DIR", "OPENCODE_CONFIG", "XDG_CONFIG_HOME", "LLAMA_STACK_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_it_prints_the_settings_alone_on_standard_output(llama: Llama) -> None:
    with served(EMBEDDER, DEAF, UNKNOWN, TRUSTED) as server:
        result = llama("connect", "claude", "--url", f"{server.url}/v1/")
    assert result.exit_code == 0, result.stderr
    env = json.loads(result.stdout)["env"]
    assert env["ANTHROPIC_BASE_URL"] == server.url
    assert env["ANTHROPIC_MODEL"] == "a/coder", "what the server knows to call tools comes first"
    assert server.tried == [], "and needs no trial"
    assert "settings.json" in result.stderr


def test_a_model_of_which_nothing_is_known_is_tried(llama: Llama) -> None:
    other = model("a/other")
    with served(EMBEDDER, UNKNOWN, other, calls=("a/other",)) as server:
        result = llama("connect", "codex", "--url", server.url)
    assert result.exit_code == 0, result.stderr
    assert 'model = "a/other"' in result.stdout
    assert server.tried == ["a/unknown", "a/other"]


def test_no_model_that_calls_tools_is_an_error_that_says_why(llama: Llama) -> None:
    with served(EMBEDDER, UNKNOWN, DEAF) as server:
        result = llama("connect", "codex", "--url", server.url)
    assert result.exit_code == 1
    assert "a/unknown: This model has no tools." in result.stderr
    assert "a/deaf cannot, says the server" in result.stderr
    assert "--model" in result.stderr
    assert result.stdout == ""


def test_a_wish_is_taken_without_a_trial(llama: Llama) -> None:
    with served(UNKNOWN, DEAF) as server:
        for wish in ("a/deaf", "deaf"):
            result = llama("connect", "codex", "--url", server.url, "--model", wish)
            assert 'model = "a/deaf"' in result.stdout
    assert server.tried == []


def test_a_wish_that_is_not_there_is_a_usage_error_with_the_nearest(llama: Llama) -> None:
    with served(TRUSTED) as server:
        result = llama("connect", "codex", "--url", server.url, "--model", "a/codre")
    assert result.exit_code == 2
    assert "Did you mean a/coder?" in result.stderr


def test_no_server_no_model_no_such_tool(llama: Llama) -> None:
    missing = llama("connect", "codex", "--url", f"http://127.0.0.1:{free_port()}")
    assert (missing.exit_code, "llama stack run" in missing.stderr) == (1, True)
    with served(EMBEDDER) as server:
        empty = llama("connect", "codex", "--url", server.url)
    assert "offers no model that chats" in empty.stderr
    unknown = llama("connect", "codx")
    assert (unknown.exit_code, "Did you mean codex?" in unknown.stderr) == (2, True)
    assert llama("connect", "codex", "--url", "ftp://x").exit_code == 2


def test_a_key_is_asked_for_by_the_name_of_its_variable(llama: Llama) -> None:
    with served(TRUSTED, key=KEY) as server:
        without = llama("connect", "codex", "--url", server.url, "--key-env", "MY_KEY")
        wrong = llama("connect", "codex", "--url", server.url, "--key-env", "MY_KEY", MY_KEY="sk-wrong-one")
        right = llama("connect", "codex", "--url", server.url, "--key-env", "MY_KEY", MY_KEY=KEY)
    assert "$MY_KEY is not set" in without.stderr
    assert "does not accept the key in $MY_KEY" in wrong.stderr
    assert 'env_key = "MY_KEY"' in right.stdout
    assert KEY not in right.output
    assert "sk-wrong" not in wrong.output


def test_a_key_that_is_not_needed_is_not_mentioned(llama: Llama) -> None:
    with served(TRUSTED) as server:
        result = llama("connect", "codex", "--url", server.url, LLAMA_STACK_API_KEY=KEY)
    assert "env_key" not in result.stdout


def test_write_shows_a_diff_and_undo_takes_it_back(llama: Llama, tmp_path: Path) -> None:
    file = tmp_path / "home" / ".codex" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('# Mine\nmodel = "gpt-5"\n')
    with served(TRUSTED) as server:
        written = llama("connect", "codex", "--url", server.url, "--write")
        again = llama("connect", "codex", "--url", server.url, "--write")
    assert '-model = "gpt-5"' in written.stdout
    assert '+model = "a/coder"' in written.stdout
    assert "has these settings already" in again.stdout
    assert "yes" in next(line for line in llama("connect", "--list").stdout.splitlines() if line.startswith("codex"))
    undone = llama("connect", "codex", "--undo")
    assert undone.exit_code == 0, "no server is needed"
    assert file.read_text() == '# Mine\nmodel = "gpt-5"\n'
    assert llama("connect", "codex", "--undo").exit_code == 1


def test_what_has_no_file_is_not_written_but_printed_as_variables(llama: Llama) -> None:
    with served(TRUSTED, key=KEY) as server:
        arguments = ("connect", "aider", "--url", server.url)
        result = llama(*arguments, LLAMA_STACK_API_KEY=KEY)
        refused = llama(*arguments, "--write")
    assert f"export OPENAI_API_BASE={server.url}/v1" in result.stdout
    assert 'export OPENAI_API_KEY="$LLAMA_STACK_API_KEY"' in result.stdout
    assert "connect aider --run" in refused.stderr


def test_a_tool_that_is_not_installed_says_how_to_install_it(llama: Llama, tmp_path: Path) -> None:
    result = llama("connect", "codex", "--run", PATH=str(tmp_path))
    assert result.exit_code == 1
    assert "npm install -g @openai/codex" in result.stderr


def test_exclusive_options(llama: Llama) -> None:
    assert llama("connect", "codex", "--write", "--undo").exit_code == 2


def test_the_list_needs_no_server(llama: Llama) -> None:
    lines = llama("connect", "--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["TOOL", "claude", "codex", "opencode", "qwen", "aider"]
    listed = json.loads(llama("connect", "--list", "--json").stdout)
    assert [each["tool"] for each in listed] == ["claude", "codex", "opencode", "qwen", "aider"]
    assert listed[1]["settings_in"].endswith(".codex/config.toml")
    assert not any(each["written"] for each in listed)


def test_a_tool_that_is_run_gets_arguments_variables_and_its_exit_code(tmp_path: Path) -> None:
    program = tmp_path / "aider"
    program.write_text('#!/bin/sh\necho "$AIDER_MODEL $OPENAI_API_BASE $*"\nexit 7\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    command = [sys.executable, "-c", "from llama_stack.cli.main import main; main()", "stack", "connect", "aider"]
    with served(TRUSTED) as server:
        done = subprocess.run(
            [*command, "--url", server.url, "--", "--message", "two words"],
            env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert done.returncode == 7
    assert done.stdout == f"openai/a/coder {server.url}/v1 --message two words\n"
