"""What `llama stack build` writes for containers is allowed no more, and asked no less, than what is in deploy/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from llama_stack.cli.building import containers
from tests.deploy.containerfile import stages_of

DEPLOY = Path(__file__).parents[2] / "deploy"
OURS = stages_of((DEPLOY / "Containerfile").read_text(encoding="utf-8"))[-1]
BUILT = stages_of(containers.containerfile("mine"))[-1]


@pytest.mark.parametrize("instruction", ["USER", "VOLUME", "EXPOSE", "HEALTHCHECK"])
def test_both_images_run_alike(instruction: str) -> None:
    assert BUILT.one(instruction) == OURS.one(instruction)


def test_both_images_have_the_same_user_and_environment() -> None:
    (made,) = BUILT.all("RUN")
    for command in ("groupadd", "useradd", "install --directory"):
        (ours,) = (part.strip() for part in OURS.all("RUN")[0].value.split("&&") if part.strip().startswith(command))
        assert ours in [part.strip() for part in made.value.split("&&")]
    # Its config need not read LLAMA_STACK_HOST, so the host is an argument.
    assert OURS.environment.items() - BUILT.environment.items() == {("LLAMA_STACK_HOST", "0.0.0.0")}
    assert json.loads(BUILT.one("CMD").value) == ["--host", "0.0.0.0"]


def test_both_compose_files_allow_the_same() -> None:
    ours: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]["server"]
    built: dict[str, Any] = yaml.safe_load(containers.compose("mine", ()))["services"]["llama-stack"]
    for key in ("read_only", "tmpfs", "cap_drop", "security_opt", "stop_grace_period", "restart", "ports"):
        assert built[key] == ours[key], key
    assert str(built["environment"]["LLAMA_STACK_PORT"]) == BUILT.one("EXPOSE").value
