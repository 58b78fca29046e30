"""A server that is killed while it carries out batches, and the model that it asks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.durability.site import LEASE_S, Site
from tests.support.upstream import Answer, Recorded, Upstream, error, rate_limited, text

CONCURRENT_MAX: Final = 16


class Model:
    """Says what it is told, refuses what says "fail", and has too much to do when it is first asked "busy"."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def __call__(self, request: Recorded) -> Answer:
        said = request.body["messages"][-1]["content"]
        self.asked[said] += 1
        if "fail" in said:
            return error(400, "Not this one.")
        if "busy" in said and self.asked[said] == 1:
            return rate_limited("0")
        return text(said)(request)


def words_of(rng: random.Random, count: int) -> dict[str, str]:
    """What each request says, by its custom_id."""
    sorts = rng.choices(["plain", "fail", "busy"], weights=[0.88, 0.1, 0.02], k=count)
    return {f"id-{number}": f"{sort} {number}" for number, sort in enumerate(sorts)}


def batch_site(directory: Path, model: Model, storage: dict[str, Any] | None) -> Iterator[Site]:
    """For a fixture. The model is `m`."""
    with Upstream() as upstream:
        upstream.always(model, on="/chat/completions")
        site = Site(directory, upstream, storage, _sections(upstream, directory))
        yield site
        site.close()


def _sections(upstream: Upstream, directory: Path) -> dict[str, Any]:
    scripted = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}
    kept = {"storage_dir": str(directory / "files")}
    files = {"provider_id": "files", "provider_type": "inline::localfs", "config": kept}
    return {
        "apis": ["inference", "files", "messages", "batches"],
        "providers": {"inference": [scripted], "files": [files]},
        "registered_resources": {"models": [{"model_id": "m", "provider_id": "up"}]},
        "server": {
            "runs": {"lease_s": LEASE_S, "poll_s": 0.1},
            "routing": {"retries_max": 0},
            "batches": {"requests_concurrent_max": CONCURRENT_MAX},
        },
    }
