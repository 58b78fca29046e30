from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from llama_stack.cli.detect import OLLAMA, VLLM, Probe, detect


@contextmanager
def server(replies: dict[str, Any], status: int = 200) -> Iterator[int]:
    """A server on a free port that answers each path with its JSON."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path in replies
            body = json.dumps(replies.get(self.path)).encode()
            self.send_response(status if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield http.server_address[1]
        finally:
            http.shutdown()
            thread.join()


def at(probe: Probe, port: int) -> Probe:
    return replace(probe, host="127.0.0.1", port=port)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_an_ollama_and_a_vllm_that_answer_are_found() -> None:
    with (
        server({"/api/version": {"version": "0.12"}}) as ollama,
        server({"/v1/models": {"object": "list", "data": [{"id": "m", "owned_by": "vllm"}]}}) as vllm,
    ):
        found = detect({}, [at(OLLAMA, ollama), at(VLLM, vllm)])
    assert [(probe.variable, probe.url) for probe in found] == [
        ("OLLAMA_URL", f"http://127.0.0.1:{ollama}/v1"),
        ("VLLM_URL", f"http://127.0.0.1:{vllm}/v1"),
    ]


@pytest.mark.parametrize("probe", [OLLAMA, VLLM])
@pytest.mark.parametrize("reply", [None, [], {}, {"version": 1}, {"data": [{"owned_by": "somebody"}]}, {"data": {}}])
def test_another_server_on_the_port_is_not_taken_for_it(probe: Probe, reply: Any) -> None:
    with server({probe.path: reply}) as port:
        assert detect({}, [at(probe, port)]) == []


def test_an_error_status_is_no_answer() -> None:
    with server({"/api/version": {"version": "1"}}, status=503) as port:
        assert detect({}, [at(OLLAMA, port)]) == []


def test_nothing_listens() -> None:
    assert detect({}, [at(OLLAMA, free_port())]) == []


@pytest.mark.parametrize("value", ["http://elsewhere/v1", ""])
def test_a_variable_that_is_set_even_if_empty_is_left_alone(value: str) -> None:
    with server({"/api/version": {"version": "1"}}) as port:
        assert detect({"OLLAMA_URL": value}, [at(OLLAMA, port)]) == []


def test_a_server_that_says_nothing_costs_one_timeout_for_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        probe = at(OLLAMA, silent.getsockname()[1])
        begun = time.monotonic()
        assert detect({}, [probe, replace(probe, variable="OTHER_URL")], timeout_s=0.2) == []
        assert time.monotonic() - begun < 0.39


def test_rubbish_is_no_answer() -> None:
    def say(reply: bytes, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        speaker: Callable[..., None] = say
        thread = threading.Thread(target=speaker, args=(b"\x00\xff rubbish\r\n\r\n", listener))
        thread.start()
        assert detect({}, [at(OLLAMA, listener.getsockname()[1])]) == []
        thread.join()
