"""TLS, and mutual TLS: with `tls_cafile` nobody gets in without a certificate that it signed."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest
from openai import DefaultHttpxClient, OpenAI

from tests.e2e.conftest import HELLO, ConfigFile
from tests.support.certificates import Authority, Pair
from tests.support.running import refused, running
from tests.support.upstream import Upstream, models


def trusting(authority: Authority, pair: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.cert))
    if pair is not None:
        context.load_cert_chain(pair.cert, pair.key)
    return context


def test_openai_over_tls(tmp_path: Path, config_file: ConfigFile, upstream: Upstream) -> None:
    authority = Authority(tmp_path)
    own = authority.issue("server")
    upstream.always(models("m"), on="/models")
    tls = {"tls_certfile": str(own.cert), "tls_keyfile": str(own.key)}
    with running(config_file({"up": upstream.base_url}, server=tls), "--port", "0", home=tmp_path) as server:
        assert server.url.startswith("https://127.0.0.1:")
        with DefaultHttpxClient(verify=trusting(authority)) as http:
            client = OpenAI(base_url=f"{server.url}/v1", api_key="x", http_client=http, max_retries=0)
            reply = client.chat.completions.create(model="up/m", messages=HELLO)
        assert reply.choices[0].message.content == "Hello from the upstream."
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/v1/health")
        with pytest.raises(httpx.HTTPError):
            httpx.get(server.url.replace("https", "http") + "/v1/health")


def test_mutual_tls(tmp_path: Path, config_file: ConfigFile) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "other-ca")
    own = authority.issue("server")
    tls = {"tls_certfile": str(own.cert), "tls_keyfile": str(own.key), "tls_cafile": str(authority.cert)}
    with running(config_file({}, server=tls), "--port", "0", home=tmp_path) as server:
        health = f"{server.url}/v1/health"
        invited = trusting(authority, authority.issue("client"))
        assert httpx.get(health, verify=invited).json() == {"status": "OK"}
        for context in (trusting(authority), trusting(authority, stranger.issue("intruder"))):
            with pytest.raises(httpx.HTTPError):
                httpx.get(health, verify=context)


def test_a_key_of_another_certificate_is_told(tmp_path: Path, config_file: ConfigFile) -> None:
    authority = Authority(tmp_path)
    tls = {"tls_certfile": str(authority.issue("a").cert), "tls_keyfile": str(authority.issue("b").key)}
    code, said = refused(config_file({}, server=tls), "--port", "0", home=tmp_path)
    assert code == 1
    assert "server.tls_certfile" in said
    assert "Traceback" not in said
