"""deploy/compose.yaml: what it names is there, and what it runs are commands and settings that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from typer.main import get_command

from llama_stack.cli.main import commands
from llama_stack.cli.recipes.variables import variables_of
from llama_stack.config.load import load_config
from llama_stack.config.locate import packaged_distributions

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}


def test_services_run_commands_of_ours() -> None:
    assert set(OURS) == {"migrate", "server", "worker"}
    known = get_command(commands()).commands["stack"].commands  # type: ignore[attr-defined]
    for service in OURS.values():
        verb, distribution = service["command"]
        assert verb in known
        assert distribution in packaged_distributions()


def test_what_is_named_is_there() -> None:
    for service in OURS.values():
        build = service["build"]
        assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Containerfile"
        assert {volume.partition(":")[0] for volume in service["volumes"]} <= COMPOSE["volumes"].keys()
        assert set(service["secrets"]) <= COMPOSE["secrets"].keys()
        assert set(service["depends_on"]) <= COMPOSE["services"].keys()
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    for name, needed in OURS["server"]["depends_on"].items():
        if needed["condition"] == "service_healthy":
            assert "healthcheck" in COMPOSE["services"][name]
    assert "healthcheck" not in OURS["server"], "the image's"
    assert OURS["worker"]["healthcheck"] == OURS["migrate"]["healthcheck"] == {"disable": True}


def test_variables_are_those_of_the_distribution(tmp_path: Path) -> None:
    """And with them the config reads: several workers over PostgreSQL and Redis, with keys."""
    environ = OURS["server"]["environment"]
    asked = {variable.name for variable in variables_of(packaged_distributions()["postgres"].read_text())}
    assert environ.keys() <= asked
    example = (DEPLOY / "compose.env.example").read_text()
    inserted = re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text())
    assert all(f"{name}=" in example for name in inserted)
    (tmp_path / "api-keys.yaml").write_text("[]")
    told = {name: re.sub(r"\$\{[^}]*\}", "", str(value)) for name, value in environ.items()}
    told |= {"LLAMA_STACK_WORKERS": "2", "LLAMA_STACK_API_KEYS_FILE": str(tmp_path / "api-keys.yaml")}
    config = load_config("postgres", environ={"HOME": str(tmp_path), **told}, strict=True).config
    assert config.storage.stores.shared.backend == "kv_redis"
    assert config.server.shutdown_grace_s + config.server.runs.drain_s <= float(
        OURS["server"]["stop_grace_period"].removesuffix("s")
    )
    secret = environ["LLAMA_STACK_API_KEYS_FILE"].removeprefix("/run/secrets/")
    assert secret in OURS["server"]["secrets"]
