"""docs/external-providers.md shows the example package as it is, and names what there is."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

from llama_stack_api import errors
from llama_stack_api.ports.inference import INFERENCE_PORTS, ModelListing
from llama_stack_api.ports.kv import KV
from llama_stack_api.principal import Call
from llama_stack_api.provider import Descriptor, ProviderContext, provider

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "external-providers.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "tests" / "external" / "llama-stack-provider-echo"
TRICKY = ROOT / "tests" / "providers" / "external" / "tricky.py"


@pytest.mark.parametrize(
    ("language", "sources"),
    [
        ("python", [PACKAGE / "src" / "llama_stack_provider_echo" / "echo.py", TRICKY]),
        ("toml", [PACKAGE / "pyproject.toml"]),
    ],
)
def test_the_code_is_that_of_files_under_test(language: str, sources: list[Path]) -> None:
    blocks = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert blocks
    for block in blocks:
        assert any(block in source.read_text(encoding="utf-8") for source in sources), block


def test_the_errors_have_the_status_that_is_stated() -> None:
    rows = re.findall(r"^\| ((?:`\w+(?:\(.*?\))?`(?:, )?)+) \| (\d{3}) \|", TEXT, re.MULTILINE)
    stated = {name: int(status) for names, status in rows for name in re.findall(r"`(\w+)", names)}
    assert len(stated) == 13
    assert stated == {name: getattr(errors, name).status for name in stated}


def test_all_that_a_provider_is_handed_and_may_say_is_named() -> None:
    methods = [name for port in (*INFERENCE_PORTS, ModelListing, KV) for name in vars(port) if not name.startswith("_")]
    handed = [each.name for each in (*fields(ProviderContext), *fields(Call)) if each.name != "forward_headers"]
    arguments = inspect.signature(provider).parameters
    for name in [*methods, *handed, *arguments]:
        assert re.search(rf"`{name}\b", TEXT) or f"{name}=" in TEXT, name
    assert arguments.keys() <= {each.name for each in fields(Descriptor)}


def test_links_lead_somewhere() -> None:
    titles = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    headings = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        path, _, anchor = target.partition("#")
        if path:
            assert (ROOT / "docs" / path).exists(), target
        else:
            assert anchor in headings, target
