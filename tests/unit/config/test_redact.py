import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from llama_stack.config.redact import REDACTED, names_secret, redact
from llama_stack.config.server import ServerConfig


class Sample(BaseModel):
    name: str = "n"
    pin: SecretStr = SecretStr("s3cret")
    empty: SecretStr = SecretStr("")


@pytest.mark.parametrize(
    "key",
    [
        "api_key",
        "openai_api_key",
        "apiKey",
        "X-API-Key",
        "api_token",
        "client_secret",
        "password",
        "Authorization",
        "auth_credential",
        "credentials",
        "aws_secret_access_key",
        "aws_access_key_id",
        "private_key",
        "cookie",
        "apikey",
    ],
)
def test_keys_that_name_secrets(key: str) -> None:
    assert names_secret(key)
    assert redact({key: "s3cret"}) == {key: REDACTED}


@pytest.mark.parametrize(
    "key",
    [
        "max_tokens",
        "max_tokens_in_context",
        "token_url",
        "password_file",
        "key",
        "model_id",
        "hash",
        "tls_keyfile",
        "credentials_path",
        "author",
        "key_recheck_period",
        "",
    ],
)
def test_keys_that_do_not(key: str) -> None:
    assert not names_secret(key)
    assert redact({key: "shown"}) == {key: "shown"}


def test_secrets_are_found_wherever_they_stand() -> None:
    value = {
        "providers": [{"config": {"api_key": "s3cret", "network": {"headers": {"x-anything": "s3cret"}}}}],
        "credentials": {"user": "s3cret", "list": ["s3cret"]},
        "url": "redis://user:s3cret@host:6379/0",
        "endpoint": "https://host/v1?api-version=1&api-key=s3cret&token=s3cret#x",
        "google": "https://host/v1beta?key=s3cret&alt=sse",
        "model": Sample(),
        "token": 12345,
    }
    shown = redact(value)
    assert "s3cret" not in repr(shown)
    assert shown["url"] == f"redis://user:{REDACTED}@host:6379/0"
    assert shown["endpoint"] == f"https://host/v1?api-version=1&api-key={REDACTED}&token={REDACTED}#x"
    assert shown["google"] == f"https://host/v1beta?key={REDACTED}&alt=sse"
    assert shown["model"] == {"name": "n", "pin": REDACTED, "empty": None}
    assert shown["token"] == REDACTED


def test_where_secrets_are_kept_is_none() -> None:
    config = ServerConfig.model_validate({"secrets": {"key_file": "/etc/keys", "keys": ["A" * 43 + "="]}})
    assert redact(config)["secrets"] == {"key": None, "keys": [REDACTED], "key_file": "/etc/keys"}
    shown = redact({"credentials": {"path": "/etc/c", "id": "s3cret"}})
    assert shown == {"credentials": {"path": "/etc/c", "id": REDACTED}}


def test_what_is_empty_or_a_switch_stays_visible() -> None:
    value = {"api_key": None, "token": "", "send_secret_in_body": True}
    assert redact(value) == value


@given(st.text(max_size=60))
def test_text_without_an_address_is_unchanged(text: str) -> None:
    if "://" not in text:
        assert redact(text) == text
