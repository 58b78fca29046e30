"""`llama stack doctor` as a whole."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from llama_stack.cli.doctor.examination import examine
from tests.support.upstream import Upstream, error
from tests.unit.cli.conftest import ConfigFile, Llama
from tests.unit.cli.test_detect import free_port

KEY = "sk-a-key-that-nobody-may-see"


def server_on(port: int | None = None) -> dict[str, Any]:
    return {"port": free_port() if port is None else port}


def test_in_order_with_a_remedy_for_whatever_is_wrong(llama: Llama, config_file: ConfigFile) -> None:
    gone = f"http://127.0.0.1:{free_port()}/v1"
    entry = {"provider_id": "up", "provider_type": "remote::openai", "config": {"base_url": gone, "api_key": KEY}}
    path = config_file({"inference": [entry]}, server=server_on())
    result = llama("doctor", str(path), "--json", GROQ_KEY=KEY)
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    findings = report["findings"]
    checks = [finding["check"] for finding in findings]
    order = ["python", "packages", "environment", "config", "extras", "state", "disk", "secrets", "port", "clock"]
    assert [check for check in checks if check in order] == order
    assert checks[-1] == "inference up"
    assert report["problems"] == sum(finding["level"] == "problem" for finding in findings) >= 1
    assert all(finding["remedy"] for finding in findings if finding["level"] != "ok")
    assert "Rename it to GROQ_API_KEY" in result.stdout
    assert KEY not in result.output


def test_as_text(llama: Llama, config_file: ConfigFile) -> None:
    path = config_file({"inference": [{"provider_id": "x", "provider_type": "remote::no-such"}]}, server=server_on())
    result = llama("doctor", str(path))
    assert "\x1b[" not in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if "no provider type 'remote::no-such'" in line]
    assert line.startswith("warning  config")
    assert re.search(r"\b[1-9]\d* warnings?\.$", result.stdout.splitlines()[-1])


def test_a_config_that_does_not_load_is_a_finding_for_each_problem(llama: Llama, config_file: ConfigFile) -> None:
    path = config_file({}, server={"port": "${env.NO_SUCH_PORT}", "workers": 0})
    result = llama("doctor", str(path), "--json")
    assert result.exit_code == 1
    found = [f for f in json.loads(result.stdout)["findings"] if f["check"] == "config"]
    assert [f["level"] for f in found] == ["problem", "problem"]
    assert "NO_SUCH_PORT" in found[0]["what"] + found[1]["what"]


def test_no_such_distribution(llama: Llama) -> None:
    result = llama("doctor", "startr")
    assert result.exit_code == 1
    assert "Did you mean starter?" in result.stdout


def test_nothing_is_made(llama: Llama, config_file: ConfigFile, tmp_path: Path) -> None:
    llama("doctor", str(config_file({}, server=server_on())))
    assert not (tmp_path / "home").exists()


def test_a_secret_that_a_backend_repeats_is_masked(
    llama: Llama, config_file: ConfigFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Upstream() as upstream:
        upstream.always(error(500, f"could not use {KEY}"), on="/models")
        config = {"base_url": upstream.base_url, "api_key": "${env.MY_API_KEY}"}
        entry = {"provider_id": "up", "provider_type": "remote::openai", "config": config}
        result = llama("doctor", str(config_file({"inference": [entry]}, server=server_on())), MY_API_KEY=KEY)
    assert result.exit_code == 1
    assert KEY not in result.output


def test_the_starter_is_the_default(tmp_path: Path) -> None:
    findings = list(examine(None, {"HOME": str(tmp_path), "LLAMA_STACK_PORT": "0"}, probes=[]))
    assert any("starter.yaml" in finding.what for finding in findings if finding.check == "config")
    assert any(finding.what.startswith("turned off") for finding in findings)
