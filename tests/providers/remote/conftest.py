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
from tests.providers.remote.bench import Bench, on_bench
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
def bedrock() -> Iterator[BedrockUpstream]:
    """Takes a key of its own, and signatures."""
    up = BedrockUpstream(bearer="sk-bedrock", secrets={"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG"})
    with up:
        yield up


@pytest.fixture(scope="module")
def nobody_at_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No credentials in the environment, in files or of the machine."""
    nowhere = tmp_path_factory.mktemp("aws") / "none"
    with pytest.MonkeyPatch.context() as patched:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patched.delenv(name)
        patched.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patched.setenv(name, str(nowhere))
        yield


@pytest.fixture(autouse=True, scope="module")
def nobody_at_google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No credentials in the environment, in files or of the machine."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
            patched.delenv(name, raising=False)
        patched.setenv("NO_GCE_CHECK", "true")
        patched.setenv("CLOUDSDK_CONFIG", str(tmp_path_factory.mktemp("gcloud")))
        yield


@pytest.fixture
async def bench(
    case: Case, up: Upstream, descriptors: dict[str, Descriptor], tmp_path: Path, nobody_at_aws: None
) -> AsyncIterator[Bench]:
    up.always(iam_token, on="/identity/token")
    async with on_bench(case, up, descriptors, tmp_path) as bench:
        yield bench
