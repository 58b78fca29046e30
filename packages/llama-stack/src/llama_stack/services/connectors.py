"""Connectors: MCP servers that requests name by id.

Those of the run config are everybody's and stay as they are; they alone may be programs, and have addresses that are
closed to others. Those that an operator registers over HTTP are their tenant's. Their credentials are sealed before
they are stored, and nobody is shown them again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from pydantic import SecretStr

from llama_stack.agent.tools.mcp_access import session_scope, with_secrets
from llama_stack.agent.tools.mcp_policy import authorization_in, check_headers, check_url
from llama_stack.agent.turn import ServerSecrets
from llama_stack.config.redact import redact
from llama_stack.config.resources import ConnectorEntry
from llama_stack.mcp.client import McpClients
from llama_stack.mcp.model import McpServer, McpServerInfo, McpTool, StdioCommand
from llama_stack.runs.secrets import Sealer
from llama_stack.services.connector_health import HealthMemory, Observed
from llama_stack.storage.sql.connectors import ConnectorStore, StoredConnector
from llama_stack_api.common.errors import ConnectorNotFoundError, ConnectorToolNotFoundError
from llama_stack_api.connectors import (
    Connector,
    ConnectorDeleted,
    ConnectorTest,
    ListConnectorsResponse,
    ListToolsResponse,
    RegisterConnectorRequest,
)
from llama_stack_api.errors import Conflict, InvalidRequest, LlamaStackError, PermissionDenied
from llama_stack_api.principal import Call, Principal
from llama_stack_api.tools import ToolDef

OPERATOR_ROLES: Final = frozenset({"admin", "operator"})
PROGRAM_FIELDS: Final = ("command", "args", "env")


@dataclass(frozen=True, slots=True)
class ConnectorLimits:
    """Times are in seconds. `probe_timeout_s` is for questions about health, and for tests."""

    per_tenant_max: int = 100
    probe_timeout_s: float = 10.0
    list_timeout_s: float = 30.0
    health_kept_s: float = 30.0


class Described(msgspec.Struct, omit_defaults=True):
    """What is stored of a registered connector in the open."""

    url: str
    server_label: str | None = None
    server_description: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A connector, wherever it comes from. `tenant` is None for one of the run config."""

    connector_id: str
    described: Described | ConnectorEntry
    tenant: str | None = None
    created_at: float | None = None
    sealed: bytes | None = None


class ConnectorService:
    def __init__(
        self,
        entries: Sequence[ConnectorEntry],
        store: ConnectorStore,
        clients: McpClients,
        sealer: Sealer,
        *,
        limits: ConnectorLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._configured = {entry.connector_id: Known(entry.connector_id, entry) for entry in entries}
        self._store = store
        self._clients = clients
        self._sealer = sealer
        self._limits = limits or ConnectorLimits()
        self._clock = clock
        self._health = HealthMemory(self._limits.health_kept_s, clock)

    async def list_connectors(self, call: Call) -> ListConnectorsResponse:
        """Those of the config first. Nobody is asked: the health is what was last seen."""
        stored = await self._store.all(call.principal.tenant)
        known = [*self._configured.values(), *(_stored(call.principal.tenant, each) for each in stored)]
        return ListConnectorsResponse(data=[self._shown(each) for each in known])

    async def get_connector(self, connector_id: str, call: Call, authorization: SecretStr | None = None) -> Connector:
        """Its server is asked whether it is there, unless it was a short while ago."""
        known = await self._known(call.principal, connector_id)
        if authorization is None and self._health.fresh(_place(known)) is not None:
            return self._shown(known)
        observed = await self._observe(known, call, authorization)
        if authorization is None:  # what a caller's own token opens says nothing of the next one's
            self._health.keep(_place(known), observed)
        return self._shown(known, observed)

    async def list_tools(
        self, connector_id: str, call: Call, authorization: SecretStr | None = None
    ) -> ListToolsResponse:
        known = await self._known(call.principal, connector_id)
        server = self._server(known, call.principal, authorization)
        tools = await self._clients.list_tools(server, deadline=_deadline(call, self._limits.list_timeout_s))
        return ListToolsResponse(data=[_tool(connector_id, tool) for tool in tools])

    async def get_tool(
        self, connector_id: str, name: str, call: Call, authorization: SecretStr | None = None
    ) -> ToolDef:
        listed = await self.list_tools(connector_id, call, authorization)
        for tool in listed.data:
            if tool.name == name:
                return tool
        raise ConnectorToolNotFoundError(connector_id, name)

    async def register(self, request: RegisterConnectorRequest, call: Call) -> Connector:
        _check_operator(call.principal)
        secrets = _checked(request)
        tenant, connector_id = call.principal.tenant, request.connector_id
        if connector_id in self._configured:
            raise Conflict(f"The connector {connector_id!r} is in the run config of this server; choose another id.")
        if len(await self._store.all(tenant)) >= self._limits.per_tenant_max:
            raise Conflict(
                f"There are {self._limits.per_tenant_max} connectors already, which is the most; remove one."
            )
        described = Described(request.url or "", request.server_label, request.server_description)
        stored = StoredConnector(
            connector_id,
            owner=call.principal.id,
            created_at=self._clock(),
            document=msgspec.json.encode(described),
            secrets=self._seal(secrets, tenant, connector_id),
        )
        if not await self._store.add(tenant, stored):
            raise Conflict(f"A connector {connector_id!r} is registered already; remove it first.")
        return self._shown(_stored(tenant, stored))

    async def test(self, connector_id: str, call: Call, authorization: SecretStr | None = None) -> ConnectorTest:
        """Ask its server for its tools, now; that it cannot be asked is a result too."""
        _check_operator(call.principal)
        known = await self._known(call.principal, connector_id)
        started = time.perf_counter()
        observed = await self._observe(known, call, authorization, with_tools=True)
        latency_ms = round((time.perf_counter() - started) * 1000, 1)
        if authorization is None:
            self._health.keep(_place(known), observed)
        return ConnectorTest(
            connector_id=connector_id,
            status="ok" if observed.error is None else "error",
            latency_ms=latency_ms,
            message=observed.error,
            server_name=observed.info.name,
            server_version=observed.info.version,
            tools_count=observed.tools_count,
        )

    async def delete(self, connector_id: str, call: Call) -> ConnectorDeleted:
        _check_operator(call.principal)
        if connector_id in self._configured:
            raise Conflict(f"The connector {connector_id!r} comes from the run config of this server; remove it there.")
        if not await self._store.delete(call.principal.tenant, connector_id):
            raise ConnectorNotFoundError(connector_id)
        self._health.forget((call.principal.tenant, connector_id))
        return ConnectorDeleted(id=connector_id)

    async def resolve(self, principal: Principal, connector_id: str) -> McpServer:
        """The server behind a connector, with the operator's credentials: for the agent."""
        return self._server(await self._known(principal, connector_id), principal)

    def trusts(self, connector_id: str) -> bool:
        """Whether it is the operator's own, of the run config."""
        return connector_id in self._configured

    async def _known(self, principal: Principal, connector_id: str) -> Known:
        configured = self._configured.get(connector_id)
        if configured is not None:
            return configured
        stored = await self._store.get(principal.tenant, connector_id)
        if stored is None:
            raise ConnectorNotFoundError(connector_id)
        return _stored(principal.tenant, stored)

    def _server(self, known: Known, principal: Principal, authorization: SecretStr | None = None) -> McpServer:
        if isinstance(known.described, ConnectorEntry):
            server = _configured_server(known.described)
        else:
            kept = self._unseal(known)
            url, headers = known.described.url, kept.headers
            server = McpServer(known.connector_id, url=url, headers=headers, authorization=kept.authorization)
        own = ServerSecrets(authorization.get_secret_value() if authorization else None)
        return replace(with_secrets(server, own), scope=session_scope(principal))

    async def _observe(
        self, known: Known, call: Call, authorization: SecretStr | None, *, with_tools: bool = False
    ) -> Observed:
        deadline = _deadline(call, self._limits.probe_timeout_s)
        info, tools_count = McpServerInfo(), None
        try:
            server = self._server(known, call.principal, authorization)
            info = await self._clients.describe(server, deadline=deadline)
            if with_tools:
                tools_count = len(await self._clients.list_tools(server, deadline=deadline))
        except LlamaStackError as error:
            return Observed(self._clock(), info, error.message)
        return Observed(self._clock(), info, tools_count=tools_count)

    def _seal(self, secrets: ServerSecrets, tenant: str, connector_id: str) -> bytes | None:
        if secrets == ServerSecrets():
            return None
        return self._sealer.seal(msgspec.json.encode(secrets), _bound_to(tenant, connector_id))

    def _unseal(self, known: Known) -> ServerSecrets:
        if known.sealed is None:
            return ServerSecrets()
        opened = self._sealer.open(known.sealed, _bound_to(known.tenant or "", known.connector_id))
        return msgspec.json.decode(opened, type=ServerSecrets)

    def _shown(self, known: Known, observed: Observed | None = None) -> Connector:
        seen = observed or self._health.last(_place(known)) or Observed()
        return Connector(
            connector_id=known.connector_id,
            url=redact(known.described.url),
            server_label=known.described.server_label,
            server_name=seen.info.name,
            server_description=known.described.server_description or seen.description,
            server_version=seen.info.version,
            source="config" if known.tenant is None else "registered",
            created_at=None if known.created_at is None else int(known.created_at),
            health=seen.health,
        )


def _stored(tenant: str, stored: StoredConnector) -> Known:
    described = msgspec.json.decode(stored.document, type=Described)
    return Known(stored.id, described, tenant, stored.created_at, stored.secrets)


def _place(known: Known) -> tuple[str | None, str]:
    return known.tenant, known.connector_id


def _configured_server(entry: ConnectorEntry) -> McpServer:
    if entry.command is not None:
        environment = {name: value.get_secret_value() for name, value in entry.env.items()}
        return McpServer(entry.connector_id, command=StdioCommand(entry.command, entry.args, environment), trusted=True)
    return McpServer(
        entry.connector_id,
        url=entry.url,
        headers={name: value.get_secret_value() for name, value in entry.headers.items()},
        authorization=entry.authorization.get_secret_value() if entry.authorization else None,
        trusted=True,
    )


def _bound_to(tenant: str, connector_id: str) -> bytes:
    return msgspec.json.encode(["connector", tenant, connector_id])


def _deadline(call: Call, timeout_s: float) -> float:
    ours = asyncio.get_running_loop().time() + timeout_s
    return ours if call.deadline is None else min(ours, call.deadline)


def _tool(connector_id: str, tool: McpTool) -> ToolDef:
    return ToolDef(
        toolgroup_id=connector_id,
        name=tool.name,
        description=tool.description or tool.title,
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        metadata={"annotations": tool.annotations} if tool.annotations else None,
    )


def _check_operator(principal: Principal) -> None:
    """On a server without authentication everybody is the operator; else it takes one of the roles."""
    if principal.authenticated and OPERATOR_ROLES.isdisjoint(principal.attributes.get("roles", ())):
        raise PermissionDenied(
            "Connectors are registered, tested and removed by operators: your API key lacks the role 'operator' or "
            "'admin' (attributes.roles of the key, in server.auth)."
        )


def _checked(request: RegisterConnectorRequest) -> ServerSecrets:
    """The secrets of a request that can be registered; else `InvalidRequest`."""
    for name in PROGRAM_FIELDS:
        if name in (request.model_extra or {}):
            raise InvalidRequest(
                f"{name}: only the run config of the server can name a connector that runs a program "
                "(connectors[].command); over HTTP, give the url of a server.",
                param=name,
                code="unsupported_parameter",
            )
    if not request.url:
        raise InvalidRequest("url: this field is required.", param="url", code="missing_required_parameter")
    check_url(request.url, "url")
    headers = {name: value.get_secret_value() for name, value in (request.headers or {}).items()}
    check_headers(headers, "headers")
    authorization = request.authorization.get_secret_value() if request.authorization else None
    if authorization and authorization_in(headers):
        raise InvalidRequest("Send either authorization or an Authorization header, not both.", param="authorization")
    check_headers({"Authorization": authorization or ""}, "authorization")
    return ServerSecrets(authorization or None, headers)
