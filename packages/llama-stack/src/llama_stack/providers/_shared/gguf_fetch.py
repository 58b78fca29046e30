"""Fetches a file into the Hugging Face hub's cache, going on where an earlier attempt stopped.

The hub's own client throws a partial file away when its process ends, which for a model of many gigabytes is no use. So
the content is fetched here, under the name that it has in the cache once it is whole, and the client only links it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

Progress = Callable[[int, int], None]
"""Called with the bytes that are here and the bytes of the whole file."""

_CHUNK_BYTES = 256 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")


class FetchedWrongly(OSError):
    """What came is not what the hub announced; it was thrown away."""


def fetch(repo: str, name: str, *, token: str | None, progress: Progress) -> Path:
    """The file in the cache. Raises the errors of `huggingface_hub` and of its HTTP library."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.file_download import repo_folder_name

    url = hf_hub_url(repo, name)
    found = get_hf_file_metadata(url, token=token)
    if found.etag and found.size:
        blobs = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model") / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        if not (blobs / found.etag).exists():
            _fetch_blob(url, blobs / found.etag, found.size, token, progress)
    return Path(hf_hub_download(repo, name, token=token))


def _fetch_blob(url: str, blob: Path, size: int, token: str | None, progress: Progress) -> None:
    """`blob` is named after the content's hash, so a part of that name is a part of this content."""
    import fcntl  # not everywhere; this module loads everywhere

    part = blob.with_name(f"{blob.name}.llama-stack.part")
    with part.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another server may be fetching it
        if blob.exists():
            return
        _fetch_rest(url, file, size, token, progress)
    if part.stat().st_size != size or (_SHA256.fullmatch(blob.name) and _sha256(part) != blob.name):
        part.unlink()
        raise FetchedWrongly(f"the content of {url} is not what the hub announced")
    part.replace(blob)


def _fetch_rest(url: str, file: BinaryIO, size: int, token: str | None, progress: Progress) -> None:
    from huggingface_hub import get_session, get_token

    here = file.seek(0, 2)
    if here >= size:
        return
    headers = {"Range": f"bytes={here}-", "Accept-Encoding": "identity"}
    if (key := token or get_token()) is not None:
        headers["Authorization"] = f"Bearer {key}"
    session: Any = get_session()
    with session.stream("GET", url, headers=headers, follow_redirects=True) as reply:
        reply.raise_for_status()
        if reply.status_code != 206:
            here = file.truncate(0)
        for chunk in reply.iter_bytes(_CHUNK_BYTES):
            here += file.write(chunk)
            progress(here, size)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
