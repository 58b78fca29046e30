"""docs/providers.md is what the descriptors say."""

from __future__ import annotations

import re

import pytest
import yaml
from docs.generate import PAGE, explanations, heading, providers_page, served

from llama_stack.config.model import RunConfig
from llama_stack.routing.catalog import Catalog
from llama_stack_api.provider import Descriptor

DESCRIPTORS = Catalog(entry_points=tuple).all()
TEXT = PAGE.read_text(encoding="utf-8")


def section(descriptor: Descriptor) -> str:
    found = re.search(
        rf"^### {re.escape(heading(descriptor))}\n(.*?)(?=^##)", TEXT + "\n## end\n", re.MULTILINE | re.DOTALL
    )
    assert found is not None
    return found[1]


def test_the_file_is_up_to_date() -> None:
    assert providers_page() == TEXT, "docs/providers.md is not what the descriptors say; run `make docs`"


@pytest.mark.parametrize("descriptor", DESCRIPTORS, ids=lambda descriptor: descriptor.type)
def test_a_section_tells_all_that_the_descriptor_does(descriptor: Descriptor) -> None:
    text = section(descriptor)
    assert descriptor.description in text
    assert all(ability in text for ability in served(descriptor))
    assert served(descriptor)
    for name in [*descriptor.data_keys, *descriptor.pip_packages]:
        assert f"`{name}`" in text
    if descriptor.turned_on_by:
        assert f"`{descriptor.turned_on_by}`" in text
    common = TEXT[TEXT.index("## Settings of every remote provider") : TEXT.index("## Inside the server")]
    for field in descriptor.config.model_fields:
        assert f"| `{field}` |" in text + common, field


@pytest.mark.parametrize("descriptor", DESCRIPTORS, ids=lambda descriptor: descriptor.type)
def test_a_sample_is_a_run_config(descriptor: Descriptor) -> None:
    (sample,) = re.findall(r"```yaml\n(.*?)```", section(descriptor), re.DOTALL)
    config = RunConfig.model_validate({"distro_name": "test", **yaml.safe_load(sample)}, context={"environ": {}})
    ((api, entry),) = config.provider_entries()
    assert (api, entry.provider_type, entry.config) == (descriptor.api, descriptor.type, dict(descriptor.sample))


def test_what_stands_under_a_field_is_its_explanation() -> None:
    (vllm,) = (found for found in DESCRIPTORS if found.type == "remote::vllm")
    explained = explanations(vllm.config)
    assert explained["max_tokens"].startswith("Tokens that a chat answer may have")
    assert explained["base_url"] == "`http://localhost:8000/v1`."
    assert explained["allowed_models"].startswith("Only these")
