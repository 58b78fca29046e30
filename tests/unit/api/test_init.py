"""`import llama_stack_api` is light, and every name that it lends is there."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import llama_stack_api

LENT = [(module, name) for module, names in llama_stack_api.NAMES.items() for name in names.split()]


def modules_loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after running `code`."""
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def test_importing_the_package_loads_no_models() -> None:
    loaded = modules_loaded_by("import llama_stack_api")
    assert {name for name in loaded if name.startswith(("llama_stack_api", "pydantic"))} == {"llama_stack_api"}


def test_a_name_loads_its_module_and_no_unrelated_one() -> None:
    loaded = modules_loaded_by("from llama_stack_api import Shield")
    assert "llama_stack_api.shields" in loaded
    assert not loaded & {"llama_stack_api.openai.chat", "llama_stack_api.vector_io", "llama_stack_api.messages"}


def test_the_contract_needs_only_pydantic() -> None:
    every_module = "; ".join(f"import llama_stack_api.{module}" for module in llama_stack_api.NAMES)
    loaded = modules_loaded_by(every_module)
    assert not loaded & {"fastapi", "httpx", "openai", "aiohttp", "llama_stack", "anthropic"}


@pytest.mark.parametrize(("module", "name"), LENT)
def test_a_lent_name_is_that_of_its_module(module: str, name: str) -> None:
    lender = importlib.import_module(f"llama_stack_api.{module}")
    assert getattr(llama_stack_api, name) is getattr(lender, name)


def test_each_name_has_one_lender_and_shadows_no_module() -> None:
    names = [name for _, name in LENT]
    assert len(names) == len(set(names))
    assert not set(names) & {module.partition(".")[0] for module in llama_stack_api.NAMES}


def test_dir_lists_lent_names() -> None:
    assert {name for _, name in LENT} <= set(dir(llama_stack_api))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = llama_stack_api.Nonsense  # type: ignore[attr-defined]
