"""`connectors`: servers by address, and programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from llama_stack.config.redact import redact
from tests.unit.config.support import load, problems

HEAD = "distro_name: test\nproviders: {}\nconnectors:\n"


def test_both_ways_to_reach_a_server(tmp_path: Path) -> None:
    text = HEAD + (
        "- {connector_id: web, url: 'https://mcp.example/', authorization: '${env.TOKEN}', headers: {X-Team: blue}}\n"
        "- {connector_id: local, command: uvx, args: [mcp-server-time, --utc], env: {KEY: '${env.TOKEN}'}}\n"
    )
    web, local = load(tmp_path, text, {"TOKEN": "hush"}, strict=True).config.connectors
    assert web.authorization is not None
    assert web.authorization.get_secret_value() == "hush"
    assert (local.url, local.command, local.args) == (None, "uvx", ["mcp-server-time", "--utc"])
    assert local.env["KEY"].get_secret_value() == "hush"
    assert "hush" not in str(redact([web, local])) + repr([web, local])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{connector_id: c}", "needs either `url` or `command`"),
        ("{connector_id: c, url: 'http://x', command: y}", "needs either `url` or `command`"),
        ("{connector_id: c, url: 'http://x', args: [y]}", "belong to a `command`"),
        ("{connector_id: c, command: y, headers: {a: b}}", "belong to a `url`"),
        ("{connector_id: c, url: 'http://x', authorization: t, headers: {authorization: t}}", "has both"),
        ("{connector_id: c, url: 'ftp://x'}", "pattern"),
    ],
)
def test_what_does_not_fit_together(tmp_path: Path, entry: str, words: str) -> None:
    [problem] = problems(tmp_path, f"{HEAD}- {entry}\n")
    assert words in problem.message
    assert problem.path[:2] == ("connectors", 0)


def test_ids_are_unique(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, HEAD + "- {connector_id: c, url: 'http://x'}\n- {connector_id: c, command: y}\n")
    assert problem.path == ("connectors", 1, "connector_id")
