from __future__ import annotations

import hashlib
import json
from pathlib import Path

import yaml

from llama_stack.config import load_config
from tests.unit.cli.conftest import Llama


def test_what_is_printed_can_be_pasted_and_fits_the_key(llama: Llama, tmp_path: Path) -> None:
    output = llama("keys", "new", "--id", "ada", "--tenant", "acme", "--attribute", "roles=admin").stdout
    key = output.splitlines()[1].strip()
    path = tmp_path / "run.yaml"
    path.write_text("distro_name: keys\nproviders: {}\n" + output[output.index("server:") :])
    auth = load_config(path, environ={"HOME": str(tmp_path)}, strict=True).config.server.auth
    assert auth is not None
    assert auth.provider_config is not None
    entry = auth.provider_config.keys[0]
    assert (entry.id, entry.tenant, entry.attributes) == ("ada", "acme", {"roles": ["admin"]})
    assert entry.hash == f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def test_json(llama: Llama) -> None:
    made = json.loads(llama("keys", "new", "--json").stdout)
    assert made["hash"] == f"sha256:{hashlib.sha256(made['key'].encode()).hexdigest()}"
    assert made["id"] == "me"


def test_the_default_tenant_is_not_written_out(llama: Llama) -> None:
    output = llama("keys", "new").stdout
    entry = yaml.safe_load(output[output.index("server:") :])["server"]["auth"]["provider_config"]["keys"][0]
    assert set(entry) == {"id", "hash"}


def test_no_two_keys_are_the_same(llama: Llama) -> None:
    assert len({json.loads(llama("keys", "new", "--json").stdout)["key"] for _ in range(5)}) == 5


def test_a_malformed_attribute_is_a_usage_error(llama: Llama) -> None:
    result = llama("keys", "new", "--attribute", "admin")
    assert result.exit_code == 2
    assert "roles=admin" in result.stderr
