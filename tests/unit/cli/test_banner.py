"""What a person sees of a start: pure, and once on a real terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shlex
import signal
import struct
import subprocess
import termios
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from llama_stack.cli.runner.banner import Look, Serving, Started, banner, log_fields, turned_off, turned_on
from llama_stack.config import load_config
from tests.support.running import COMMAND, environment

START_S = 30.0


def started(**changes: Any) -> Started:
    facts: dict[str, Any] = {
        "version": "1.0.0",
        "distro_name": "starter",
        "url": "http://127.0.0.1:8321",
        "workers": 1,
        "authenticated": False,
        "on": [Serving("inference", "llama-cpp", 1), Serving("safety", "pii")],
        "found": [],
        "missed": [],
        "off": [("openai", "OPENAI_API_KEY")],
        "refused": [],
        "warnings": [],
        "inference": True,
        "model": "llama-cpp/small",
        "seconds": 0.4,
    }
    return Started(**facts | changes)


def test_it_says_what_serves_what_does_not_and_what_to_try() -> None:
    text = banner(started(refused=["provider 'x' (remote::x): no"], warnings=["the key 'y' is not known"]))
    assert text.splitlines() == [
        "Llama Stack 1.0.0 · starter · ready in 0.4 s",
        "http://127.0.0.1:8321 · docs: http://127.0.0.1:8321/docs",
        "",
        "  inference  llama-cpp (1 model)",
        "  safety     pii",
        "",
        "  off        openai (OPENAI_API_KEY): set the variable to turn one on",
        "",
        "  ! provider 'x' (remote::x): no",
        "  ! the key 'y' is not known",
        "",
        "  curl http://127.0.0.1:8321/v1/chat/completions \\",
        "    -H 'Content-Type: application/json' -d '{",
        '    "model": "llama-cpp/small",',
        """    "messages": [{"role": "user", "content": "Say hello."}]}'""",
        "",
        "Ctrl-C stops the server.",
    ]


def test_it_says_what_was_found_and_what_was_not() -> None:
    text = banner(started(found=["Ollama at localhost:11434", "OPENAI_API_KEY"], missed=["vLLM at localhost:8000"]))
    assert "  found      Ollama at localhost:11434, OPENAI_API_KEY\n" in text
    assert "  not found  vLLM at localhost:8000\n" in text


def test_models_are_counted_where_they_are_known() -> None:
    on = [Serving("inference", "a", 12), Serving("inference", "b", 0), Serving("inference", "c")]
    assert "  inference  a (12 models), b (no model yet), c\n" in banner(started(on=on))


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_many_providers_stay_short_and_within_the_terminal(columns: int) -> None:
    on = [Serving("inference", f"provider-{number}", number) for number in range(60)]
    off = [(f"hosted-{number}", f"HOSTED_{number}_API_KEY") for number in range(60)]
    text = banner(started(on=on, off=off), Look(columns))
    assert "and 48 more" in text
    assert "and 56 more" in text
    told, _, curl = text.partition("  curl ")
    assert max(map(len, told.splitlines())) <= columns
    assert len(told.splitlines()) < 30
    assert max(map(len, curl.splitlines())) <= 64, "a terminal would break what is to be pasted"


def test_colours_only_where_they_are_wanted() -> None:
    assert "\x1b[" in banner(started(), Look(80, coloured=True))
    assert "\x1b[" not in banner(started(), Look(80, coloured=False))


def test_with_keys_the_curl_sends_one() -> None:
    text = banner(started(authenticated=True))
    assert "Authorization: Bearer" in text
    assert "/docs" not in text
    assert "Authorization" not in banner(started())


def test_without_inference_the_curl_asks_for_no_models() -> None:
    text = banner(started(inference=False, model=None))
    assert "/v1/inspect/routes" in text
    assert "/v1/models" not in text


def test_without_a_model_the_curl_lists_models() -> None:
    assert "curl http://127.0.0.1:8321/v1/models" in banner(started(model=None))


def test_a_model_with_a_quote_in_its_name_can_be_pasted() -> None:
    pasted = banner(started(model="a/it's")).split("\n  curl ")[1].partition("\n\n")[0]
    assert json.loads(shlex.split(pasted)[-1])["model"] == "a/it's"


def test_the_log_line_has_the_same_facts() -> None:
    fields = log_fields(started())
    assert fields["url"] == "http://127.0.0.1:8321"
    assert fields["providers"] == ["llama-cpp", "pii"]


def test_what_is_off_and_what_turned_on_is_read_from_the_file(tmp_path: Path) -> None:
    starter = load_config("starter", environ={"HOME": str(tmp_path)}).switches
    off = dict(turned_off(starter, [("inference", "ollama")]))
    assert off["openai"] == "OPENAI_API_KEY"
    assert "ollama" not in off
    assert "llama-cpp" not in off
    assert turned_on(starter, [("inference", "ollama"), ("inference", "llama-cpp")]) == ["OLLAMA_URL"]


def test_an_id_of_two_apis_is_told_apart(tmp_path: Path) -> None:
    nvidia = load_config("nvidia", environ={"HOME": str(tmp_path)}).switches
    on = [("inference", "nvidia")]
    assert "GUARDRAILS_SERVICE_URL" not in turned_on(nvidia, on)
    assert ("nvidia", "GUARDRAILS_SERVICE_URL") in turned_off(nvidia, on)


def test_a_provider_that_is_commented_out_is_not_off(tmp_path: Path) -> None:
    """Setting its variable would not turn it on."""
    path = tmp_path / "run.yaml"
    path.write_text(
        """\
distro_name: mine
providers:
  inference:
  - {provider_id: "${env.ONE_URL:+one}", provider_type: remote::vllm, config: {base_url: "${env.ONE_URL:=}"}}
  # - provider_id: ${env.TWO_URL:+two}
"""
    )
    assert turned_off(load_config(path, environ={"HOME": str(tmp_path)}).switches, []) == [("one", "ONE_URL")]


def test_on_a_terminal_the_curl_works_as_it_is_pasted(tmp_path: Path) -> None:
    said, process = on_a_terminal(tmp_path, "--port", "0", columns=100)
    try:
        assert "  inference        llama-cpp (1 model), minilm (2 models)" in said
        assert '{"event"' not in said, "a terminal gets no log line for the start"
        assert "\x1b[" not in said, "NO_COLOR is set"
        pasted = said.split("\n  curl ")[1].partition("\n\n")[0]
        url, _, header, _, body = shlex.split(pasted.replace("\\\n", ""))
        request = Request(url, body.encode(), dict([header.split(": ")]))
        with urlopen(request, timeout=START_S) as reply:
            assert json.load(reply)["choices"][0]["message"]["content"]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(START_S) == 0


def on_a_terminal(home: Path, *arguments: str, columns: int) -> tuple[str, subprocess.Popen[bytes]]:
    """What `run` says on a terminal of that width, up to its last line."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *arguments], env=environment(home, {"NO_COLOR": "1"}), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    while b"Ctrl-C stops the server." not in said:
        piece = os.read(ours, 65536)  # raises once the process is gone
        said += piece
    text = said.decode().replace("\r\n", "\n")
    return text[text.index("Llama Stack ") :], process  # a slow machine has a log line before it
