"""Oracle's Generative AI: who signs, what is signed, and what else only this provider has."""

from __future__ import annotations

import base64
import datetime
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from llama_stack.net.client import NetClient
from llama_stack.providers._shared import oci_identity
from llama_stack.providers._shared.oci_instance import InstancePrincipal
from llama_stack.providers._shared.oci_signing import signed_headers
from llama_stack.routing.catalog import Catalog
from llama_stack_api.api import Api
from llama_stack_api.errors import (
    InvalidRequest,
    ModelNotFound,
    ProviderError,
    ProviderRejectedCredentials,
)
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.principal import SYSTEM_CALL, Call
from tests.providers.remote.bench import Bench, chat, chunks_of
from tests.providers.remote.oci_cases import OCIS
from tests.support.oci_upstream import (
    COMPARTMENT,
    FINGERPRINT,
    KEY_ID,
    TENANCY,
    USER,
    OciUpstream,
    new_key,
    refusal,
)
from tests.support.upstream import Recorded, error, text
from tests.support.upstream_wire import Answer, Wire

pytestmark = pytest.mark.anyio
RESOURCE = "OCI_RESOURCE_PRINCIPAL_"


@pytest.fixture
def up() -> Iterator[OciUpstream]:
    upstream = OciUpstream()
    with upstream:
        yield upstream


@pytest.fixture
async def bench(up: OciUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setenv("HOME", str(tmp_path))
    descriptor = next(found for found in Catalog().all(Api.inference) if found.type == "remote::oci")
    bench = Bench(OCIS[0], up, descriptor, tmp_path)
    yield bench
    for client in bench.clients:
        await client.aclose()


NO_KEYS = dict.fromkeys(("oci_auth_type", "oci_tenancy_ocid", "oci_user_ocid", "oci_fingerprint", "oci_private_key"))


async def answered(provider: Any, call: Call | None = None) -> str:
    reply = await provider.openai_chat_completion(chat(), call or Call())
    return str(reply.decode().choices[0].message.content)


def token(ends_at: float) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": ends_at}).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


def write_config(folder: Path, **profiles: dict[str, str]) -> Path:
    file = folder / "config"
    lines = [
        f"[{name}]\n" + "\n".join(f"{key}={value}" for key, value in members.items())
        for name, members in profiles.items()
    ]
    file.write_text("\n".join(lines))
    return file


# Who signs


async def test_a_key_of_the_run_config_signs(bench: Bench, up: OciUpstream) -> None:
    assert await answered(bench.open()) == "Hello from Oracle."
    assert f'keyId="{KEY_ID}"' in bench.sent.headers["authorization"]
    assert bench.sent.body["compartmentId"] == COMPARTMENT
    # Environment variables hold line ends written out; and a path is read.
    assert await answered(bench.open(oci_private_key=up.private_key.replace("\n", "\\n"))) == "Hello from Oracle."
    file = bench.state_dir / "key.pem"
    file.write_text(up.private_key)
    assert await answered(bench.open(oci_private_key=str(file))) == "Hello from Oracle."
    assert up.violations == []


async def test_the_config_file_signs(bench: Bench, up: OciUpstream, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(up.private_key)
    base = {"tenancy": TENANCY, "user": USER, "fingerprint": FINGERPRINT, "key_file": str(tmp_path / "key.pem")}
    file = write_config(tmp_path, DEFAULT={**base, "region": "eu-frankfurt-1"}, OTHER={"user": "ocid1.user.oc1..o"})
    settings = {**NO_KEYS, "oci_config_file_path": str(file)}
    assert await answered(bench.open(**settings)) == "Hello from Oracle."

    pem = up.trust(f"{TENANCY}/ocid1.user.oc1..o/{FINGERPRINT}")
    (tmp_path / "key.pem").write_text(pem)
    assert await answered(bench.open(**settings, oci_config_profile="OTHER")) == "Hello from Oracle."
    with pytest.raises(ProviderRejectedCredentials, match="has no profile 'NONE'"):
        await answered(bench.open(**settings, oci_config_profile="NONE"))

    provider = bench.open(**settings, base_url="")
    assert await provider._regional("generativeai") == "https://generativeai.eu-frankfurt-1.oci.oraclecloud.com"


async def test_a_session_token_signs_until_its_end(bench: Bench, up: OciUpstream, tmp_path: Path) -> None:
    first, second = token(time.time() + 3600), token(time.time() + 7200)
    (tmp_path / "token").write_text(first)
    (tmp_path / "key.pem").write_text(up.trust(f"ST${first}"))
    file = write_config(
        tmp_path, S={"security_token_file": str(tmp_path / "token"), "key_file": str(tmp_path / "key.pem")}
    )
    provider = bench.open(
        **{**NO_KEYS, "oci_auth_type": "security_token"}, oci_config_file_path=str(file), oci_config_profile="S"
    )
    assert await answered(provider) == "Hello from Oracle."

    # The session was renewed by Oracle's CLI, and the old one is refused: the next request takes the new one.
    up.trusted.clear()
    (tmp_path / "token").write_text(second)
    (tmp_path / "key.pem").write_text(up.trust(f"ST${second}"))
    with pytest.raises(ProviderRejectedCredentials):
        await answered(provider)
    assert await answered(provider) == "Hello from Oracle."

    (tmp_path / "token").write_text(token(time.time() - 5))
    ended = bench.open(
        **{**NO_KEYS, "oci_auth_type": "config_file"}, oci_config_file_path=str(file), oci_config_profile="S"
    )
    with pytest.raises(ProviderRejectedCredentials, match="oci session authenticate"):
        await answered(ended)


async def test_a_function_signs_by_its_environment(
    bench: Bench, up: OciUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = token(time.time() + 600)
    (tmp_path / "rpst").write_text(own)
    monkeypatch.setenv(f"{RESOURCE}VERSION", "2.2")
    monkeypatch.setenv(f"{RESOURCE}RPST", str(tmp_path / "rpst"))
    monkeypatch.setenv(f"{RESOURCE}PRIVATE_PEM", up.trust(f"ST${own}"))
    monkeypatch.setenv(f"{RESOURCE}REGION", "uk-london-1")
    provider = bench.open(**NO_KEYS)
    assert await answered(provider) == "Hello from Oracle."
    assert await bench.open(**NO_KEYS, base_url="")._regional("x") == "https://x.uk-london-1.oci.oraclecloud.com"

    monkeypatch.setenv(f"{RESOURCE}VERSION", "1.1")
    with pytest.raises(ProviderRejectedCredentials, match="only 2"):
        await answered(bench.open(**NO_KEYS))


async def test_a_token_is_read_again_before_its_end(
    bench: Bench, up: OciUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{RESOURCE}VERSION", "2.2")
    monkeypatch.setenv(f"{RESOURCE}RPST", str(tmp_path / "rpst"))
    provider = bench.open(**NO_KEYS)
    used = []
    for seconds in (oci_identity.TOKEN_SPARE_S - 1, 3600, 3601):  # the first is as good as over
        (tmp_path / "rpst").write_text(token(time.time() + seconds))
        monkeypatch.setenv(f"{RESOURCE}PRIVATE_PEM", up.trust(f"ST${(tmp_path / 'rpst').read_text()}"))
        await answered(provider)
        used.append(bench.sent.headers["authorization"].split(",")[1])
    assert used[0] != used[1]
    assert used[1] == used[2]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"oci_user_ocid": None}, "oci_user_ocid must be set"),
        ({"oci_fingerprint": None}, "fingerprint must be set"),
        ({"oci_private_key": "not a key"}, "no private key in PEM"),
        ({"oci_private_key": "/nowhere/key.pem"}, "cannot be read"),
        ({"oci_auth_type": "config_file", "oci_config_file_path": "/nowhere"}, "cannot be read"),
        ({"oci_tenancy_ocid": 'ocid1"\nx'}, "characters that it cannot have"),
    ],
)
async def test_missing_credentials_are_told_before_anything_is_sent(
    bench: Bench, up: OciUpstream, wrong: dict[str, Any], said: str
) -> None:
    provider = bench.open(**wrong)
    with pytest.raises(ProviderRejectedCredentials, match=said) as raised:
        await answered(provider)
    assert raised.value.code == "upstream_key_missing"
    assert "BEGIN" not in raised.value.message
    assert (await provider.health()).status == "Error"
    assert up.requests == []


async def test_keys_of_a_request_sign_it(bench: Bench, up: OciUpstream, tmp_path: Path) -> None:
    pem = up.trust("ocid1.tenancy.oc1..them/ocid1.user.oc1..her/aa:bb")
    own = {
        "oci_private_key": pem,
        "oci_tenancy_ocid": "ocid1.tenancy.oc1..them",
        "oci_user_ocid": "ocid1.user.oc1..her",
        "oci_fingerprint": "aa:bb",
        "oci_compartment_id": "ocid1.compartment.oc1..theirs",
    }
    call = Call(provider_data={name: SecretStr(value) for name, value in own.items()})
    assert await answered(bench.open(), call) == "Hello from Oracle."
    assert 'keyId="ocid1.tenancy.oc1..them/ocid1.user.oc1..her/aa:bb"' in bench.sent.headers["authorization"]
    assert bench.sent.body["compartmentId"] == "ocid1.compartment.oc1..theirs"
    assert pem not in repr(bench.open()) + repr(call)

    # The path of a file of this machine's is no key of a client's.
    (tmp_path / "key.pem").write_text(up.private_key)
    spying = Call(provider_data={**call.provider_data, "oci_private_key": SecretStr(str(tmp_path / "key.pem"))})
    with pytest.raises(ProviderRejectedCredentials, match="no key in PEM"):
        await answered(bench.open(), spying)
    assert len(up.requests) == 1


# A machine as who signs


class Machine:
    """The metadata of a machine, and the federation service, on the same loopback server."""

    def __init__(self, up: OciUpstream) -> None:
        self.up = up
        self.key = generate_private_key(65537, 2048)
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, "ocid1.instance.oc1..i"),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "opc-certtype:instance"),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"opc-tenant:{TENANCY}"),
            ]
        )
        now = datetime.datetime.now(datetime.UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(7)
            .not_valid_before(now)
            .not_valid_after(now + datetime.timedelta(hours=1))
            .sign(self.key, SHA256())
        )
        self.exchanged = 0
        pem = self.certificate.public_bytes(Encoding.PEM)
        self._gives("cert.pem", pem)
        self._gives("intermediate.pem", pem)
        self._gives("key.pem", _pem(self.key))
        region = {"regionIdentifier": "us-phoenix-1", "realmDomainComponent": "oraclecloud.com"}
        self._gives("regionInfo", json.dumps(region).encode())
        up.always(self._exchange, on="/v1/x509")

    def _gives(self, name: str, content: bytes) -> None:
        def answer(request: Recorded) -> Answer:
            assert request.headers["authorization"] == "Bearer Oracle"
            return Wire().body(content, "text/plain")

        self.up.always(answer, on=f"/{name}")

    def _exchange(self, request: Recorded) -> Answer:
        """A token for the public key, if the machine signed."""
        fingerprint = self.certificate.fingerprint(SHA256()).hex(":").upper()
        self.up.trusted[f"{TENANCY}/fed-x509-sha256/{fingerprint}"] = self.key.public_key()
        self.up._check_signature(request)
        der = base64.b64decode(request.body["certificate"])
        assert x509.load_der_x509_certificate(der) == self.certificate
        self.exchanged += 1
        own = token(time.time() + 1200 + self.exchanged)
        session: Any = load_der_public_key(base64.b64decode(request.body["publicKey"]))
        self.up.trusted[f"ST${own}"] = session
        return Wire().json({"token": own})


def _pem(key: RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


async def test_a_machine_exchanges_its_certificate_for_a_token(bench: Bench, up: OciUpstream) -> None:
    machine = Machine(up)
    provider = bench.open(**{**NO_KEYS, "oci_auth_type": "instance_principal"})
    provider._signer._instance = InstancePrincipal(
        "mine", provider._http, metadata_url=f"{up.url}/opc/v2", federation_url=f"{up.url}/v1/x509"
    )
    assert await answered(provider) == "Hello from Oracle."
    assert await answered(provider) == "Hello from Oracle."
    assert machine.exchanged == 1, "a token serves until its end"

    up.reply(refusal(401, "NotAuthenticated", "The token was revoked."), on="/actions/chat")
    with pytest.raises(ProviderRejectedCredentials):
        await answered(provider)
    assert await answered(provider) == "Hello from Oracle."
    assert machine.exchanged == 2
    assert await provider._signer.region() == "us-phoenix-1"
    assert up.violations == []


async def test_a_machine_without_metadata_says_so(up: OciUpstream) -> None:
    up.always(error(404, "Not here.", shape="text"))
    client = NetClient(None, name="mine")
    principal = InstancePrincipal("mine", client, metadata_url=f"{up.url}/opc/v2", federation_url=f"{up.url}/v1/x509")
    with pytest.raises(ProviderError, match="regionInfo answered with HTTP 404"):
        await principal.identity()
    up.always(Wire().json({"regionIdentifier": 5}), on="/regionInfo")
    with pytest.raises(ProviderError, match="do not name its region"):
        await principal.identity()
    await client.aclose()


# The signature


def test_the_signature_is_over_what_oracle_documents() -> None:
    pem, _ = new_key()
    identity = oci_identity._of_user({"tenancy": "t", "user": "u", "fingerprint": "f"}, pem, None, "{}")
    url = "https://h.example:443/20231130/models?compartmentId=ocid1.c&page=a%2Fb"
    headers = signed_headers(identity, "GET", url, b"", now=0)
    assert headers["date"] == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert 'headers="date (request-target) host"' in headers["authorization"]
    assert "x-content-sha256" not in headers
    posted = signed_headers(identity, "POST", "https://h.example/x", b"{}", now=0)
    names = "date (request-target) host content-length content-type x-content-sha256"
    assert f'headers="{names}"' in posted["authorization"]
    assert repr(identity) == "Identity(key_id='t/u/f', good_until=inf)", "the key is not shown"


# What else


async def test_an_api_key_of_the_service_opens_the_compatible_address(bench: Bench, up: OciUpstream) -> None:
    up.always(text("By key."), on="/actions/v1/chat/completions")
    provider = bench.open(**NO_KEYS, api_key="sk-genai-1", allowed_models=["xai.grok-4", "cohere.embed-v4.0"])
    assert await answered(provider) == "By key."
    assert bench.sent.path == "/20231130/actions/v1/chat/completions"
    assert bench.sent.headers["authorization"] == "Bearer sk-genai-1"
    assert bench.sent.headers["opc-compartment-id"] == COMPARTMENT
    assert bench.sent.body["model"] == "m-1"
    chunks = await chunks_of(provider)
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "By key."
    assert [model.id for model in await provider.list_models(SYSTEM_CALL)] == ["xai.grok-4", "cohere.embed-v4.0"]

    call = Call(provider_data={"oci_genai_api_key": SecretStr("sk-of-the-client")})
    assert await answered(bench.open(), call) == "By key."
    assert bench.sent.headers["authorization"] == "Bearer sk-of-the-client"


async def test_dedicated_endpoints_are_called_by_their_ocids(bench: Bench) -> None:
    endpoint = "ocid1.generativeaiendpoint.oc1..e"
    await bench.open().openai_chat_completion(chat(model=endpoint), Call())
    assert bench.sent.body["servingMode"] == {"servingType": "DEDICATED", "endpointId": endpoint}
    await bench.open(oci_serving_mode="DEDICATED").openai_chat_completion(chat(model="ours"), Call())
    assert bench.sent.body["servingMode"] == {"servingType": "DEDICATED", "endpointId": "ours"}


async def test_a_compartment_is_needed(bench: Bench, up: OciUpstream) -> None:
    with pytest.raises(InvalidRequest, match="oci_compartment_id"):
        await answered(bench.open(oci_compartment_id=None))
    call = Call(provider_data={"oci_compartment_id": SecretStr("ocid1\r\nX-Admin: yes")})
    with pytest.raises(InvalidRequest, match="line break"):
        await answered(bench.open(), call)
    assert up.requests == []


async def test_what_is_unknown_and_what_is_forbidden_look_alike(bench: Bench, up: OciUpstream) -> None:
    up.always(refusal(404, "NotAuthorizedOrNotFound", "Authorization failed or requested resource not found."))
    with pytest.raises(ModelNotFound, match=r"policies of the compartment.*\(opc-request-id: OPC/1/2\)"):
        await answered(bench.open())


async def test_the_format_of_a_listed_model_is_its_vendors(bench: Bench, up: OciUpstream) -> None:
    item = {"displayName": "tuned", "capabilities": ["CHAT"], "vendor": "cohere"}
    up.always(Wire().json({"items": [item]}), on="/20231130/models")
    provider = bench.open()
    await provider.list_models(SYSTEM_CALL)
    await provider.openai_chat_completion(chat(model="tuned"), Call())
    assert bench.sent.body["chatRequest"]["apiFormat"] == "COHEREV2"
    await bench.open(api_formats={"tuned": "COHERE"}).openai_chat_completion(chat(model="tuned"), Call())
    assert bench.sent.body["chatRequest"]["apiFormat"] == "COHERE"


async def test_embeddings_of_a_query_and_of_another_length(bench: Bench, up: OciUpstream) -> None:
    up.always(Wire().json({"id": "1", "embeddingsByType": {"float": [[0.5, 1.0]]}}), on="/embedText")
    fields = {"model": "cohere.embed-v4.0", "input": "a", "dimensions": 2, "input_type": "search_query"}
    reply = await bench.open().openai_embeddings(EmbeddingsRequest.model_validate(fields), Call())
    assert reply.decode().data[0].embedding == [0.5, 1.0]
    sent = {name: bench.sent.body[name] for name in ("inputs", "inputType", "outputDimensions")}
    assert sent == {"inputs": ["a"], "inputType": "SEARCH_QUERY", "outputDimensions": 2}
    up.always(Wire().json({"id": "1"}), on="/embedText")
    with pytest.raises(ProviderError, match="no embeddings"):
        await bench.open().openai_embeddings(EmbeddingsRequest.model_validate(fields), Call())
