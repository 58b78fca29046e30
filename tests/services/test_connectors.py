"""Connectors: of the config and registered ones, over real MCP servers and both databases."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from llama_stack.config.resources import ConnectorEntry
from llama_stack.mcp.client import McpClients
from llama_stack.net.egress import Egress, EgressPolicy
from llama_stack.security.sealing import CredentialsLost, KeySealer
from llama_stack.services.connectors import ConnectorLimits, ConnectorService
from llama_stack.storage.sql.connectors import ConnectorStore, StoredConnector
from llama_stack.storage.sql.database import Database
from llama_stack_api.connectors import Connector, RegisterConnectorRequest
from llama_stack_api.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from llama_stack_api.principal import ANONYMOUS, Call, Principal
from tests.support.mcp_server import LoopbackMcp

pytestmark = pytest.mark.anyio

OPERATOR = Call(principal=Principal("ops", tenant="acme", attributes={"roles": ("operator",)}))
MEMBER = Call(principal=Principal("ann", tenant="acme", attributes={"roles": ("user",)}))
STRANGER = Call(principal=Principal("ops", tenant="umbrella", attributes={"roles": ("admin",)}))
TOKEN = "very-secret-token"


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class House:
    """What a service is made of; `service` makes one, as each start of the server does."""

    database: Database
    clients: McpClients
    clock: Clock = field(default_factory=Clock)
    key: bytes = b"k" * 32

    def service(self, *entries: dict[str, Any], **limits: Any) -> ConnectorService:
        return ConnectorService(
            [ConnectorEntry.model_validate(entry) for entry in entries],
            ConnectorStore(self.database),
            self.clients,
            KeySealer([self.key]),
            limits=ConnectorLimits(**limits),
            clock=self.clock,
        )


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    """Only the server's own addresses and that of the test's server are open to callers."""
    clients = McpClients(Egress(EgressPolicy(allowed_hosts=["127.0.0.1"])))
    yield House(database, clients)
    await clients.close()


@pytest.fixture(scope="module")
def mcp() -> Iterator[LoopbackMcp]:
    with LoopbackMcp(authorization=f"Bearer {TOKEN}") as running:
        yield running


def registration(mcp: LoopbackMcp, connector_id: str = "tools", **more: Any) -> RegisterConnectorRequest:
    return RegisterConnectorRequest.model_validate(
        {"connector_id": connector_id, "url": mcp.url, "authorization": TOKEN, "server_label": "loop", **more}
    )


def ids(listed: Sequence[Connector]) -> list[str]:
    return [each.connector_id for each in listed]


async def test_a_registered_connector_is_the_tenants(house: House, mcp: LoopbackMcp) -> None:
    service = house.service({"connector_id": "everybodys", "url": "http://config.example/mcp"})
    made = await service.register(registration(mcp), OPERATOR)
    assert (made.source, made.created_at, made.url, made.server_label) == ("registered", 1_000_000, mcp.url, "loop")
    assert made.health is not None
    assert made.health.status == "unknown"
    again = house.service({"connector_id": "everybodys", "url": "http://config.example/mcp"})
    assert ids((await again.list_connectors(MEMBER)).data) == ["everybodys", "tools"]
    assert ids((await again.list_connectors(STRANGER)).data) == ["everybodys"]
    listed = await again.list_tools("tools", MEMBER)
    assert "echo" in [tool.name for tool in listed.data]
    for refused in (
        again.get_connector("tools", STRANGER),
        again.list_tools("tools", STRANGER),
        again.resolve(STRANGER.principal, "tools"),
        again.delete("tools", STRANGER),
        again.test("tools", STRANGER),
    ):
        with pytest.raises(NotFound):
            await refused
    assert (await again.delete("tools", OPERATOR)).model_dump() == {
        "object": "connector.deleted",
        "id": "tools",
        "deleted": True,
    }
    assert ids((await service.list_connectors(MEMBER)).data) == ["everybodys"]


async def test_secrets_are_sealed_and_never_shown(house: House, mcp: LoopbackMcp) -> None:
    service = house.service()
    await service.register(registration(mcp, headers={"X-Key": "another-secret"}), OPERATOR)
    (row,) = await ConnectorStore(house.database).all("acme")
    assert row.secrets is not None
    shown = str([await service.list_connectors(OPERATOR), await service.get_connector("tools", OPERATOR), row])
    assert TOKEN not in shown
    assert "another-secret" not in shown
    server = await service.resolve(MEMBER.principal, "tools")
    assert (server.authorization, dict(server.headers), server.trusted) == (TOKEN, {"X-Key": "another-secret"}, False)
    assert TOKEN not in repr(server)

    await ConnectorStore(house.database).add("umbrella", row)
    with pytest.raises(CredentialsLost):
        await service.resolve(STRANGER.principal, "tools")  # moved to another tenant, they do not open
    house.key = b"x" * 32
    lost = await house.service().get_connector("tools", MEMBER)
    assert lost.health is not None
    assert lost.health.status == "error"
    assert "server.secrets.keys" in str(lost.health.message)


async def test_who_may_change_connectors(house: House, mcp: LoopbackMcp) -> None:
    service = house.service()
    await service.register(registration(mcp), OPERATOR)
    for refused in (
        service.register(registration(mcp, "mine"), MEMBER),
        service.test("tools", MEMBER),
        service.delete("tools", MEMBER),
    ):
        with pytest.raises(PermissionDenied, match="lacks the role 'operator' or 'admin'"):
            await refused
    await service.register(registration(mcp, "open"), Call(principal=ANONYMOUS))
    assert ids((await service.list_connectors(Call(principal=ANONYMOUS))).data) == ["open"]


async def test_what_cannot_be_registered(house: House, mcp: LoopbackMcp) -> None:
    service = house.service({"connector_id": "everybodys", "command": "true"}, per_tenant_max=2)
    refusals: list[tuple[dict[str, Any], str, str]] = [
        ({"command": "rm", "url": None}, "command", "only the run config"),
        ({"args": ["-rf"]}, "args", "only the run config"),
        ({"url": None}, "url", "required"),
        ({"url": "http://user:pw@x/"}, "url", "no credentials"),
        ({"url": "file:///etc/passwd"}, "url", "http or https"),
        ({"headers": {"Authorization": "x"}}, "authorization", "not both"),
        ({"headers": {"a": "b\r\nc: d"}}, "headers", "no HTTP header"),
        ({"authorization": "a\nb"}, "authorization", "no HTTP header"),
    ]
    for given, param, words in refusals:
        with pytest.raises(InvalidRequest, match=words) as refused:
            await service.register(registration(mcp, **given), OPERATOR)
        assert refused.value.param == param
    with pytest.raises(Conflict, match="in the run config"):
        await service.register(registration(mcp, "everybodys"), OPERATOR)
    with pytest.raises(Conflict, match="comes from the run config"):
        await service.delete("everybodys", OPERATOR)
    await service.register(registration(mcp), OPERATOR)
    with pytest.raises(Conflict, match="registered already"):
        await service.register(registration(mcp), OPERATOR)
    await service.register(registration(mcp, "two"), OPERATOR)
    with pytest.raises(Conflict, match="2 connectors already"):
        await service.register(registration(mcp, "three"), OPERATOR)
    await service.register(registration(mcp), STRANGER)


async def test_a_connectors_test_says_what_is_there_or_what_is_wrong(house: House, mcp: LoopbackMcp) -> None:
    service = house.service()
    await service.register(registration(mcp), OPERATOR)
    await service.register(registration(mcp, "closed", authorization="wrong"), OPERATOR)
    well = await service.test("tools", OPERATOR)
    assert (well.status, well.server_name, well.server_version, well.message) == ("ok", "loopback", "1.2.3", None)
    assert well.tools_count is not None
    assert well.tools_count >= 8
    assert well.latency_ms > 0
    refused = await service.test("closed", OPERATOR)
    assert (refused.status, refused.tools_count) == ("error", None)
    assert "401" in str(refused.message)
    by_own_token = await service.test("closed", OPERATOR, SecretStr(TOKEN))
    assert by_own_token.status == "ok"
    health = {each.connector_id: each.health for each in (await service.list_connectors(MEMBER)).data}
    assert {key: seen and seen.status for key, seen in health.items()} == {"closed": "error", "tools": "ok"}


async def test_health_is_remembered_for_a_short_while(house: House) -> None:
    service = house.service(health_kept_s=30)
    with LoopbackMcp() as soon_gone:
        await service.register(registration(soon_gone, authorization=None), OPERATOR)
        seen = await service.get_connector("tools", MEMBER)
        assert seen.health is not None
        assert (seen.health.status, seen.health.checked_at) == ("ok", 1_000_000)
        assert (seen.server_name, seen.server_version, seen.server_description) == (
            "loopback",
            "1.2.3",
            "Tools for tests.",
        )
    house.clock.now += 29
    assert (await service.get_connector("tools", MEMBER)).health == seen.health
    house.clock.now += 2
    gone = await service.get_connector("tools", MEMBER)
    assert gone.health is not None
    assert (gone.health.status, gone.health.checked_at) == ("error", 1_000_031)
    assert gone.health.message
    await service.delete("tools", OPERATOR)
    await service.register(registration(soon_gone, authorization=None), OPERATOR)
    fresh = (await service.list_connectors(MEMBER)).data[0].health
    assert fresh is not None
    assert fresh.status == "unknown", "a new connector of an old id has no health yet"


async def test_tools_of_a_connector(house: House, mcp: LoopbackMcp) -> None:
    service = house.service({"connector_id": "loop", "url": mcp.url})
    echo = await service.get_tool("loop", "echo", MEMBER, SecretStr(TOKEN))
    assert (echo.toolgroup_id, echo.description) == ("loop", "Say the text again.")
    assert echo.input_schema is not None
    assert echo.input_schema["required"] == ["text"]
    with pytest.raises(NotFound, match=r"loop\.absent"):
        await service.get_tool("loop", "absent", MEMBER, SecretStr(TOKEN))
    with pytest.raises(NotFound):
        await service.list_tools("absent", MEMBER)


async def test_programs_and_private_addresses_are_the_configs_alone(database: Database, mcp: LoopbackMcp) -> None:
    clients = McpClients(Egress(EgressPolicy()))
    house = House(database, clients)
    program = {
        "connector_id": "program",
        "command": sys.executable,
        "args": ["-m", "tests.support.mcp_server", "--stdio"],
        "env": {"PYTHONPATH": str(Path(__file__).parents[2])},
    }
    local = {"connector_id": "local", "url": mcp.url, "authorization": TOKEN}
    service = house.service(program, local)
    try:
        for connector_id in ("program", "local"):
            tested = await service.test(connector_id, OPERATOR)
            assert (tested.message, tested.status) == (None, "ok")
            assert service.trusts(connector_id)
        shown = await service.get_connector("program", MEMBER)
        assert (shown.url, shown.source) == (None, "config")
        assert "mcp_server" not in str(shown)
        await service.register(registration(mcp), OPERATOR)
        assert not service.trusts("tools")
        refused = await service.test("tools", OPERATOR)
        assert refused.status == "error", "a registered address goes through the egress guard"
    finally:
        await clients.close()


async def test_sessions_are_not_shared_between_people(house: House) -> None:
    service = house.service({"connector_id": "loop", "url": "http://127.0.0.1:1/mcp"})
    servers = [await service.resolve(call.principal, "loop") for call in (OPERATOR, MEMBER, STRANGER)]
    assert len({server.key() for server in servers}) == 3


async def test_the_store(database: Database) -> None:
    store = ConnectorStore(database)
    one = StoredConnector("b", "ann", 12.5, b'{"url":"http://x"}', b"\x00sealed")
    assert await store.add("acme", one)
    assert not await store.add("acme", StoredConnector("b", "bob", 13.0, b"{}"))
    assert await store.add("umbrella", StoredConnector("b", "eve", 13.0, b"{}"))
    assert await store.add("acme", StoredConnector("B", "bob", 13.0, b"{}"))
    assert [each.id for each in await store.all("acme")] == ["B", "b"]
    assert await store.get("acme", "b") == one
    for absent in ("c", "ü", "nul\0"):
        assert await store.get("acme", absent) is None
        assert not await store.delete("acme", absent)
    assert await store.delete("acme", "b")
    assert await store.get("acme", "b") is None
    assert await store.get("umbrella", "b") is not None
