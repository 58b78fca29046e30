"""An upstream for all tests of this folder, and the bench of the case that a test is given."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from llama_stack.routing.catalog import Catalog
from llama_stack_api.api import Api
from llama_stack_api.provider import Descriptor
from tests.providers.remote.bench import Bench
from tests.providers.remote.case import Case
from tests.providers.remote.cases import iam_token
from tests.support.anthropic_upstream import AnthropicUpstream
from tests.support.anthropic_upstream_bedrock import BedrockUpstream
from tests.support.gemini_upstream import GeminiUpstream
from tests.support.oci_upstream import OciUpstream
from tests.support.ollama_upstream import OllamaUpstream
from tests.support.upstream import Upstream


@pytest.fixture(scope="session")
def descriptors() -> dict[str, Descriptor]:
    return {found.type: found for found in Catalog().all(Api.inference) if found.is_remote}


@pytest.fixture(scope="session")
def upstreams() -> Iterator[dict[str, Upstream]]:
    """One of each tongue."""
    tongues: dict[str, type[Upstream]] = {
        "openai": Upstream,
        "anthropic": AnthropicUpstream,
        "bedrock": BedrockUpstream,
        "oci": OciUpstream,
        "gemini": GeminiUpstream,
        "ollama": OllamaUpstream,
    }
    with ExitStack() as stack:
        yield {tongue: stack.enter_context(made()) for tongue, made in tongues.items()}


@pytest.fixture
def up(request: pytest.FixtureRequest, upstreams: dict[str, Upstream]) -> Iterator[Upstream]:
    """The one of the test's case, or OpenAI's."""
    callspec = getattr(request.node, "callspec", None)
    case = callspec.params.get("case") if callspec is not None else None
    upstream = upstreams[case.tongue if isinstance(case, Case) else "openai"]
    yield upstream
    upstream.reset()


@pytest.fixture
def nobody_at_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials in the environment, in files or of the machine."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


@pytest.fixture(autouse=True)
def nobody_at_google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials in the environment, in files or of the machine."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))


@pytest.fixture
async def bench(
    case: Case, up: Upstream, descriptors: dict[str, Descriptor], tmp_path: Path, nobody_at_aws: None
) -> AsyncIterator[Bench]:
    bench = Bench(case, up, descriptors[case.type], tmp_path)
    up.always(iam_token, on="/identity/token")
    yield bench
    for client in bench.clients:
        await client.aclose()
