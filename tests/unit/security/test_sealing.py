from __future__ import annotations

import base64
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llama_stack.config.redact import redact
from llama_stack.config.secrets import SecretsConfig
from llama_stack.config.server import ServerConfig
from llama_stack.security.sealing import CredentialsLost, KeyFileRefused, KeySealer, make_key_file, sealer_for

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def written(key: bytes) -> str:
    return base64.b64encode(key).decode()


@given(secret=st.binary(max_size=1000), bound_to=st.binary(max_size=100))
def test_what_is_sealed_opens_in_its_place_alone(secret: bytes, bound_to: bytes) -> None:
    sealer = KeySealer([OLD])
    sealed = sealer.seal(secret, bound_to)
    assert KeySealer([OLD]).open(sealed, bound_to) == secret
    assert sealer.seal(secret, bound_to) != sealed
    with pytest.raises(CredentialsLost, match="somewhere else"):
        sealer.open(sealed, bound_to + b"x")


def test_a_change_anywhere_is_noticed() -> None:
    sealed = KeySealer([OLD]).seal(b"secret", b"place")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(CredentialsLost) as raised:
            KeySealer([OLD]).open(bytes(changed), b"place")
        assert raised.value.code == "credentials_lost"
    for length in range(len(sealed)):
        with pytest.raises(CredentialsLost):
            KeySealer([OLD]).open(sealed[:length], b"place")


def test_keys_are_changed_without_losing_what_they_sealed() -> None:
    old, both, new = KeySealer([OLD]), KeySealer([NEW, OLD]), KeySealer([NEW])
    before, after = old.seal(b"s", b""), both.seal(b"s", b"")
    assert both.open(before, b"") == both.open(after, b"") == new.open(after, b"") == b"s"
    with pytest.raises(CredentialsLost, match=r"server\.secrets\.keys"):
        new.open(before, b"")
    with pytest.raises(CredentialsLost):
        KeySealer([]).open(before, b"")


def test_keys_of_the_configuration() -> None:
    config = SecretsConfig.model_validate({"key": written(NEW), "keys": [None, written(OLD)]})
    assert config.all_keys == [NEW, OLD]
    urlsafe = base64.urlsafe_b64encode(b"\xff" * 32).decode()
    assert SecretsConfig.model_validate({"keys": [urlsafe]}).all_keys == [b"\xff" * 32]
    assert SecretsConfig.model_validate({"key": None}).all_keys == []
    shown = str(redact(ServerConfig.model_validate({"secrets": {"key": written(NEW), "keys": [written(OLD)]}})))
    assert written(NEW) not in shown
    assert written(OLD) not in shown


@pytest.mark.parametrize("key", ["short", written(b"x" * 31), written(b"x" * 33), "ä" * 44, "not base64!" * 4])
def test_keys_that_cannot_be(key: str) -> None:
    with pytest.raises(ValidationError, match="openssl rand -base64 32") as raised:
        SecretsConfig.model_validate({"key": key})
    assert key not in "".join(error["msg"] for error in raised.value.errors())


def test_without_a_key_one_is_made_when_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "state" / "secrets.key"
    sealer = sealer_for(SecretsConfig(), path.parent)
    with pytest.raises(CredentialsLost):
        sealer.open(b"\x01" + b"x" * 60, b"")
    assert not path.exists()
    sealed = sealer.seal(b"secret", b"place")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["secrets.key"]
    assert sealer_for(SecretsConfig(), path.parent).open(sealed, b"place") == b"secret"
    assert sealer_for(SecretsConfig(key_file=path), tmp_path).open(sealed, b"place") == b"secret"


def test_a_process_opens_what_another_has_sealed_since_under_a_new_key(tmp_path: Path) -> None:
    early, sealing = sealer_for(SecretsConfig(), tmp_path), sealer_for(SecretsConfig(), tmp_path)
    assert early.open(sealing.seal(b"secret", b"place"), b"place") == b"secret"


def test_processes_that_start_together_get_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: make_key_file(tmp_path / "keys"), range(32)))
    assert len({tuple(keys) for keys in made}) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_key_file_may_have_several_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.touch(mode=0o600)
    path.write_text(f"{written(NEW)}\n\n{written(OLD)}\n")
    sealer = sealer_for(SecretsConfig(key_file=path), tmp_path)
    assert sealer.open(KeySealer([OLD]).seal(b"s", b""), b"") == b"s"
    assert KeySealer([NEW]).open(sealer.seal(b"s", b""), b"") == b"s"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secrets.key"
    make_key_file(path)
    path.chmod(mode)
    with pytest.raises(KeyFileRefused, match=f"mode {mode:o}.*chmod 600"):
        sealer_for(SecretsConfig(), tmp_path)


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"rubbish\n", b"\xff\xfe", written(OLD).encode() + b"\nshort\n", b"A" * 70_000]
)
def test_a_key_file_with_something_else_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "secrets.key"
    path.touch(mode=0o600)
    path.write_bytes(text)
    with pytest.raises(KeyFileRefused) as raised:
        sealer_for(SecretsConfig(), tmp_path)
    assert "rubbish" not in raised.value.message


def test_a_key_file_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sealer = sealer_for(SecretsConfig(key_file=tmp_path / "file" / "secrets.key"), tmp_path)
    with pytest.raises(KeyFileRefused, match="cannot be made"):
        sealer.seal(secrets.token_bytes(4), b"")


def test_the_library_is_loaded_when_it_is_needed() -> None:
    code = (
        "import sys; from llama_stack.security.sealing import KeySealer; sealer = KeySealer([b'k' * 32]); "
        "assert 'cryptography' not in sys.modules; sealer.seal(b'', b''); assert 'cryptography' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
