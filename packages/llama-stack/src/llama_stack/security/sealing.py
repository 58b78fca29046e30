"""Sealing: authenticated encryption of what the server stores (credentials of a run) or hands out (reasoning), under
keys of its own.

A sealed value is a version byte, the id of its key, a random nonce, and AES-256-GCM's output, with `bound_to` as
associated data: moved to another place, it does not open.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llama_stack.config.secrets import KEY_BYTES, SecretsConfig, key_bytes
from llama_stack_api.errors import LlamaStackError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION: Final = b"\x01"
KEY_ID_BYTES: Final = 8
NONCE_BYTES: Final = 12
KEY_FILE: Final = "secrets.key"
FILE_BYTES_MAX: Final = 64 * 1024

_HEADER_BYTES: Final = len(VERSION) + KEY_ID_BYTES


class CredentialsLost(LlamaStackError):
    """What was sealed cannot be opened: it was sealed under a key that is not there, for another place, or changed."""

    default_code = "credentials_lost"


class KeyFileRefused(LlamaStackError):
    """The file with the keys cannot be used as it is; the message says why, and nothing of what is in it."""

    default_code = "key_file_refused"


class KeySealer:
    """The first of `keys` seals, all of them open. Without any they are those of `key_file`, which is made when
    something is first to be sealed: here, or by another process that shares it."""

    def __init__(self, keys: Sequence[bytes], key_file: Path | None = None) -> None:
        self._keys = list(keys)
        self._key_file = key_file
        self._ciphers: dict[bytes, AESGCM] = {}
        """By key id, the one that seals first; empty until the first use, which imports the library."""

    def seal(self, secret: bytes, bound_to: bytes) -> bytes:
        if not self._keys and self._key_file is not None:
            self._keys = make_key_file(self._key_file)
        key_id, cipher = next(iter(self._opened().items()))
        nonce = secrets.token_bytes(NONCE_BYTES)
        return VERSION + key_id + nonce + cipher.encrypt(nonce, secret, VERSION + bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """`CredentialsLost` if it was sealed under another key, for something else, or was changed."""
        from cryptography.exceptions import InvalidTag

        if not self._keys and self._key_file is not None and self._key_file.exists():
            self._keys = read_key_file(self._key_file)
        cipher = self._opened().get(sealed[len(VERSION) : _HEADER_BYTES])
        if cipher is None or not sealed.startswith(VERSION):
            raise CredentialsLost(
                "the key that this was sealed under is not among the server's; add it to server.secrets.keys"
            )
        nonce, box = sealed[_HEADER_BYTES : _HEADER_BYTES + NONCE_BYTES], sealed[_HEADER_BYTES + NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, box, VERSION + bound_to)
        except (InvalidTag, ValueError):
            raise CredentialsLost("what was sealed has been changed, or belongs somewhere else") from None

    def _opened(self) -> dict[bytes, AESGCM]:
        if not self._ciphers:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            self._ciphers = {_key_id(key): AESGCM(key) for key in self._keys}
        return self._ciphers


def sealer_for(config: SecretsConfig, state_dir: Path) -> KeySealer:
    """Under the configured keys, or those of the key file, which is made when something is first to be sealed.

    Raises `KeyFileRefused`."""
    keys = config.all_keys
    if keys:
        return KeySealer(keys)
    path = config.key_file or state_dir / KEY_FILE
    return KeySealer(read_key_file(path) if path.exists() else [], path)


def read_key_file(path: Path) -> list[bytes]:
    """The keys of the file, in its order. Raises `KeyFileRefused` if others can read it."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise _refused(path, f"can be read or written by others (mode {stat.S_IMODE(mode):o}): chmod 600 {path}")
    if len(text) > FILE_BYTES_MAX:
        raise _refused(path, f"is larger than {FILE_BYTES_MAX} bytes")
    try:
        keys = [key_bytes(line) for line in text.decode("ascii").splitlines() if line.strip()]
    except ValueError:
        keys = []
    if not keys:
        raise _refused(path, f"must have keys, one a line, each of {KEY_BYTES} random bytes in base64")
    return keys


def make_key_file(path: Path) -> list[bytes]:
    """The keys of the file; if it is not there, a new one. Of several processes at once, all get the same."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as file:  # which is 0600
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
            try:
                os.link(file.name, path)  # whole, or not at all; never over one that is there
            except FileExistsError:
                pass
            else:
                _sync_directory(path.parent)
    except OSError as error:
        raise _refused(path, f"cannot be made: {error.strerror}") from None
    return read_key_file(path)


def _sync_directory(directory: Path) -> None:
    """The name of a new file survives a power cut as what is sealed under its key does."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(path: Path, why: str) -> KeyFileRefused:
    return KeyFileRefused(f"the file {path}, with the keys of server.secrets, {why}")


def _key_id(key: bytes) -> bytes:
    """Tells nothing of the key."""
    return hashlib.sha256(b"llama-stack sealing key\0" + key).digest()[:KEY_ID_BYTES]
