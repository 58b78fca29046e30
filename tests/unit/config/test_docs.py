"""docs/configuration.md says what the code does."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from llama_stack.config.env import convert
from llama_stack.config.model import RunConfig
from llama_stack.config.server import ServerConfig
from llama_stack.config.unsupported import UNSUPPORTED
from tests.unit.config.support import load

TEXT = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()


def _rows(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\| `([a-z_.]+)` \|([^|]*)\|", text, re.MULTILINE))


TABLES = [
    *("limits", "routing", "runs", "responses", "egress", "conversations", "prompts", "websocket"),
    *("messages", "batches", "files"),
]


def _defaults(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in model:
        if isinstance(value, BaseModel):
            yield from _defaults(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_the_server_are_documented_with_their_defaults(name: str) -> None:
    table = next(block for block in TEXT.split("\n\n") if block.startswith(f"| `server.{name}` |"))
    assert {key: convert(value.strip()) for key, value in _rows(table).items() if not key.startswith("server.")} == {
        key: _written(value) for key, value in _defaults(getattr(ServerConfig(), name))
    }


def _written(value: object) -> object:
    """How a table shows a default."""
    if isinstance(value, dict):
        return ", ".join(f"`{key}: {each}`" for key, each in value.items())
    return str(value) if value == [] else value


def test_every_section_and_server_setting_is_documented() -> None:
    for name in {*RunConfig.model_fields, *ServerConfig.model_fields} - {"container_image", "logging_config"}:
        assert re.search(rf"`(server\.)?{name}`|^#+ {name}$", TEXT, re.MULTILINE), name


def test_what_is_unsupported_is_documented() -> None:
    for entry in UNSUPPORTED:
        named = "kv_mongodb" if entry.path[-1] == "*" else ".".join(entry.path)
        assert f"`{named}`" in TEXT


def test_the_smallest_config_loads(tmp_path: Path) -> None:
    example = next(block for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL) if "version: 2" in block)
    config = load(tmp_path, example, {"OPENAI_API_KEY": "sk-1"}, strict=True).config
    assert [entry.provider_id for _, entry in config.provider_entries()] == ["openai"]


def test_the_storage_and_resource_examples_load(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n((?:storage|registered_resources):.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 2
    text = "distro_name: x\nproviders: {}\n" + "".join(blocks)
    config = load(tmp_path, text, {"POSTGRES_PASSWORD": "p", "REDIS_URL": "redis://r"}, strict=True).config
    assert config.storage.stores.shared.backend == "redis"
    assert config.storage.stores.metadata.backend == "kv_default"
    assert [len(model.targets) for model in config.registered_resources.models] == [0, 1]
    assert yaml.safe_load(blocks[0])
