"""Keys in a file: read again when it changes, kept when it breaks."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from llama_stack.config.auth import ApiKey, ApiKeysAuth, AuthConfig
from llama_stack.security.authentication import ApiKeys, Authenticator, authenticator_for, key_holder
from llama_stack.security.key_file import KeyFile, KeyFileUnreadable, read_keys
from llama_stack_api.errors import Unauthenticated


def entry(key: str, id: str = "ann") -> dict[str, str]:
    return {"id": id, "hash": hashlib.sha256(key.encode()).hexdigest()}


def write(path: Path, *entries: dict[str, str]) -> None:
    """As tools do it: a new file in place of the old one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(entries))
    fresh.rename(path)


def who(authenticator: Authenticator, key: str) -> str | None:
    try:
        return authenticator.authenticate({b"x-api-key": key.encode()}).id
    except Unauthenticated:
        return None


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_change_is_seen_after_the_interval_or_at_once_when_asked(tmp_path: Path) -> None:
    path, clock = tmp_path / "keys.json", Clock()
    write(path, entry("one"))
    keys = ApiKeys([], KeyFile(path, interval_s=2, clock=clock))
    assert who(keys, "one") == "ann"
    write(path, entry("two"))
    assert (who(keys, "one"), who(keys, "two")) == ("ann", None)
    clock.now += 2.1
    assert (who(keys, "one"), who(keys, "two")) == (None, "ann")
    write(path, entry("three"))
    keys.reload()
    assert (who(keys, "two"), who(keys, "three")) == (None, "ann")


@pytest.mark.parametrize("broken", ["{", "[{}]", "keys: [1]", "\0"])
def test_a_file_that_breaks_leaves_the_keys(tmp_path: Path, broken: str, capsys: pytest.CaptureFixture[str]) -> None:
    path, clock = tmp_path / "keys.json", Clock()
    write(path, entry("one"))
    keys = ApiKeys([], KeyFile(path, interval_s=2, clock=clock))
    path.write_text(broken)
    os.utime(path, (1, 1))
    for _ in range(3):
        clock.now += 3
        assert who(keys, "one") == "ann"
    write(path, entry("two"))
    clock.now += 3
    assert (who(keys, "one"), who(keys, "two")) == (None, "ann")


def test_a_file_that_goes_away_leaves_the_keys(tmp_path: Path) -> None:
    path, clock = tmp_path / "keys.json", Clock()
    write(path, entry("one"))
    keys = ApiKeys([], KeyFile(path, interval_s=2, clock=clock))
    path.unlink()
    clock.now += 3
    assert who(keys, "one") == "ann"


def test_the_file_cannot_take_over_a_key_of_the_config(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write(path, entry("one", "mallory"), entry("two", "bob"))
    keys = ApiKeys([key_holder(ApiKey(**entry("one")))], KeyFile(path))
    assert (who(keys, "one"), who(keys, "two")) == ("ann", "bob")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not valid YAML"),
        ("- {id: a}", "0.hash"),
        ("- {id: a, hash: xyz}", "SHA-256"),
        ("keys: 5", "valid list"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_an_unreadable_file_stops_the_start(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    with pytest.raises(KeyFileUnreadable, match=says) as caught:
        authenticator_for(AuthConfig(provider_config=ApiKeysAuth(file=path)))
    assert str(path) in str(caught.value)


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(KeyFileUnreadable, match="No such file"):
        read_keys(tmp_path / "none.yaml")


def test_a_file_may_be_a_list_or_have_it_under_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    for data in ([entry("one")], {"keys": [entry("one")]}):
        path.write_text(json.dumps(data))
        assert [key.id for key in read_keys(path)] == ["ann"]
    path.write_text("")
    assert read_keys(path) == []
