"""Contents in a directory: each written once, shared by digest, counted by hard links. All of it blocking.

    <root>/unfinished/<random>                          what is being written, locked by its writer
    <root>/<tenant>/objects/<d2>/<digest>               a content, by its SHA-256
    <root>/<tenant>/contents/<i2>/<id>.<digest>         a hard link to it for every id that has that content

A link is atomic, and an inode lives while a name of it does. So no order of events between threads, processes or
crashes takes bytes from an id that has them: whoever removes an object that a new id was just linked to removes a name,
and the id keeps the bytes, merely not shared any more. An object that has no id left has a link count of one and goes.
Where the file system has no hard links each id has a file of its own.

Tenants share nothing, not even equal contents, and are named by a digest: a tenant's name is no part of a path.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import time
from pathlib import Path

PIECE_BYTES = 1024 * 1024
LINK_ATTEMPTS = 8
ABANDONED_AFTER_S = 24 * 3600.0
"""Where the file system has no locks: the age at which a file that is not finished belongs to nobody."""
_KEY = re.compile(r"([0-9a-f]{32})/([A-Za-z0-9_-]{1,128})\.([0-9a-f]{64})")
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV}


class ContentDirectory:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.unfinished = root / "unfinished"

    def open(self) -> None:
        _make(self.unfinished)
        self._remove_abandoned()

    def path_of(self, key: str) -> Path | None:
        """The file of a key; None of what is no key of ours."""
        match = _KEY.fullmatch(key)
        return None if match is None else self._content(*match.groups())

    def delete(self, key: str) -> None:
        match = _KEY.fullmatch(key)
        if match is None:
            return
        tenant, _, digest = match.groups()
        self._content(*match.groups()).unlink(missing_ok=True)
        self._drop_unused(self._object(tenant, digest))

    def discard(self, tenant: str, content_id: str) -> None:
        """Whatever is kept under an id, its digest not being known."""
        if _ID.fullmatch(content_id) is None:
            return
        name = digest_of(tenant)
        folder = self._content(name, content_id, "").parent
        for found in folder.glob(f"{content_id}.*"):
            self.delete(f"{name}/{found.name}")

    def publish(self, unfinished: Path, tenant: str, content_id: str, digest: str, size: int) -> str:
        """Give a finished file its names, or those of its twin; the key. The file's own name is for its writer to
        remove."""
        name = digest_of(tenant)
        content, shared = self._content(name, content_id, digest), self._object(name, digest)
        _make(content.parent)
        _make(shared.parent)
        try:
            self._link(unfinished, content, shared, size)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            unfinished.rename(content)
        _sync(content.parent)
        return f"{name}/{content.name}"

    def _link(self, unfinished: Path, content: Path, shared: Path, size: int) -> None:
        for _ in range(LINK_ATTEMPTS):
            if _is_whole(shared, size) and _linked(shared, content):
                return
            # The content before the object: after a crash between the two the object is not left without a content.
            os.link(unfinished, content)
            if _linked(unfinished, shared):
                _sync(shared.parent)
                return
            content.unlink()  # a twin was quicker: share its object
        os.link(unfinished, content)

    def _drop_unused(self, shared: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            if shared.stat().st_nlink == 1:
                shared.unlink()

    def _content(self, tenant: str, content_id: str, digest: str) -> Path:
        return self.root / tenant / "contents" / digest_of(content_id)[:2] / f"{content_id}.{digest}"

    def _object(self, tenant: str, digest: str) -> Path:
        return self.root / tenant / "objects" / digest[:2] / digest

    def _remove_abandoned(self) -> None:
        """What a process left that ended in the middle of writing: a living one holds a lock on its file."""
        for path in self.unfinished.iterdir():
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                except OSError:
                    if time.time() - path.stat().st_mtime < ABANDONED_AFTER_S:
                        continue
                path.unlink()


class ContentWriter:
    """One content on its way: `open`, `write`…, `publish`; at the end, whatever came, `close`.

    A writer that is closed without having been kept (`keep`) leaves nothing."""

    def __init__(self, directory: ContentDirectory, tenant: str, content_id: str) -> None:
        if _ID.fullmatch(content_id) is None:
            raise ValueError("an id of a content has letters, digits, '-' and '_' only, 128 at most")
        self._directory = directory
        self._tenant = tenant
        self._id = content_id
        self._path: Path | None = None
        self._file = -1
        self._digest = hashlib.sha256()
        self._named = False
        self._kept = False
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def open(self) -> None:
        for _ in range(LINK_ATTEMPTS):
            self._path = self._directory.unfinished / secrets.token_hex(16)
            self._file = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
            with contextlib.suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(self._file).st_nlink:
                return
            os.close(self._file)  # another process is opening, and found it before it was locked
            self._file = -1
        raise FileNotFoundError(errno.ENOENT, "a file that is being written is removed again and again")

    def write(self, piece: bytes) -> None:
        self._digest.update(piece)
        view = memoryview(piece)
        while view:
            view = view[os.write(self._file, view) :]
        self.size += len(piece)

    def publish(self) -> str:
        assert self._path is not None
        os.fsync(self._file)
        self._named = True
        try:
            return self._directory.publish(self._path, self._tenant, self._id, self.sha256, self.size)
        except FileExistsError:
            self._named = False  # what has the name is not ours to remove
            raise

    def keep(self) -> None:
        self._kept = True

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        if self._named and not self._kept:
            self._directory.discard(self._tenant, self._id)


class ContentReader:
    """One content being read, or a part of it."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file = -1

    def open(self) -> int | None:
        """The size; None if there is no such content."""
        if self._path is None:
            return None
        try:
            self._file = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        return os.fstat(self._file).st_size

    def read(self, start: int, size: int) -> bytes:
        return os.pread(self._file, size, start)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def digest_of(name: str) -> str:
    """A name as a part of a path: 32 hexadecimal digits."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _linked(source: Path, target: Path) -> bool:
    """False if the source is gone, the target is there, or the source has all the links that it may have."""
    try:
        os.link(source, target)
    except (FileNotFoundError, FileExistsError):
        return False
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        source.unlink(missing_ok=True)  # the ids that have it keep it; a new object takes its place
        return False
    return True


def _is_whole(shared: Path, size: int) -> bool:
    """False too for one that was cut behind our back: it makes room for the right one."""
    try:
        if shared.stat().st_size == size:
            return True
        shared.unlink(missing_ok=True)
    except FileNotFoundError:
        pass
    return False


def _make(directory: Path) -> None:
    """Private, with all that is missing above it, and there after a power cut."""
    if directory.is_dir():
        return
    _make(directory.parent)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    with contextlib.suppress(PermissionError):  # above ours there may be one that we may pass, but not read
        _sync(directory.parent)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that syncs files alone
            raise
    finally:
        os.close(handle)
