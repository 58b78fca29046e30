"""Opening the providers of a run config: found, checked, created, opened. One that fails stops no other."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from llama_stack.config.redact import without_secrets
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.errors import ProviderRefused, RoutingConfigError
from llama_stack.routing.modules import package_of
from llama_stack.routing.stalls import StallWatch
from llama_stack_api.api import Api
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.ports.file_processors import FILE_PROCESSORS_PORTS
from llama_stack_api.ports.files import FILES_PORTS
from llama_stack_api.ports.http import HttpClient
from llama_stack_api.ports.inference import INFERENCE_PORTS
from llama_stack_api.ports.kv import KV
from llama_stack_api.ports.lifecycle import Closes, Opens
from llama_stack_api.ports.safety import SAFETY_PORTS
from llama_stack_api.ports.tool_runtime import TOOL_RUNTIME_PORTS
from llama_stack_api.ports.vector_io import VECTOR_IO_PORTS
from llama_stack_api.provider import Descriptor, ProviderContext

PORTS: Mapping[str, tuple[type, ...]] = {
    Api.inference: INFERENCE_PORTS,
    Api.tool_runtime: TOOL_RUNTIME_PORTS,
    Api.files: FILES_PORTS,
    Api.file_processors: FILE_PROCESSORS_PORTS,
    Api.vector_io: VECTOR_IO_PORTS,
    Api.safety: SAFETY_PORTS,
}
"""Of each API, the ports of which a provider must satisfy at least one."""

OPEN_TIMEOUT_S = 30.0
"""How long a provider may take to open: longer than any local model takes to load."""
CLOSE_TIMEOUT_S = 10.0
"""How long a provider may take to close before the others are closed without it."""
STALL_S = 5.0
"""How long a provider may keep the event loop busy while it opens before that is told."""


class ConfiguredProvider(Protocol):
    """A provider entry of the run config."""

    @property
    def provider_id(self) -> str: ...
    @property
    def provider_type(self) -> str: ...
    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def module(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class ProviderProblem:
    """A provider entry that does not serve, or serves with a doubt (`fatal` is False)."""

    api: str
    provider_id: str
    provider_type: str
    message: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"provider '{self.provider_id}' ({self.provider_type}): {self.message}"


@dataclass(frozen=True, slots=True)
class OpenProvider:
    api: Api
    id: str
    descriptor: Descriptor
    config: BaseModel
    impl: Any


class ProviderOpener:
    """Opens providers one by one and closes them together, with the HTTP clients that they asked for.

    `http` makes the client of a provider id and its `network` config; `kv` the namespace of an API's provider. Ids are
    unique within an API: one `provider_id` may serve inference and safety.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        state_dir: Path,
        http: Callable[[str, BaseModel | None], HttpClient],
        kv: Callable[[str, str], KV],
        open_timeout_s: float = OPEN_TIMEOUT_S,
        close_timeout_s: float = CLOSE_TIMEOUT_S,
        stall_s: float = STALL_S,
    ) -> None:
        self._catalog = catalog
        self._state_dir = state_dir
        self._http = http
        self._kv = kv
        self._open_timeout_s = open_timeout_s
        self._close_timeout_s = close_timeout_s
        self._stall_s = stall_s
        self._clients: list[HttpClient] = []
        self.opened: dict[tuple[str, str], OpenProvider] = {}
        self.problems: list[ProviderProblem] = []

    async def open(self, api: str, entry: ConfiguredProvider, deps: Mapping[Api, Any]) -> OpenProvider | None:
        """The provider, or None and a problem. `deps` holds the APIs that are served so far."""
        try:
            opened = await self._open(Api.add(api), entry, deps)
        except (RoutingConfigError, LlamaStackError) as error:
            self._report(api, entry, str(error))
            return None
        except ModuleNotFoundError as error:
            needed = error.name or str(error)
            self._report(api, entry, f"needs {needed!r}, which is not installed: `pip install {package_of(needed)}`")
            return None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a provider's own code; the others serve
            self._report(api, entry, f"did not open ({type(error).__name__}: {error})")
            return None
        self.opened[api, opened.id] = opened
        return opened

    async def close(self) -> None:
        """Providers in reverse order, then their clients. A failure is a problem, not an obstacle."""
        for provider in reversed(self.opened.values()):
            if isinstance(provider.impl, Closes):
                try:
                    async with asyncio.timeout(self._close_timeout_s):
                        await provider.impl.close()
                except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
                    message = f"did not close ({type(error).__name__}: {error})"
                    self.problems.append(ProviderProblem(provider.api, provider.id, provider.descriptor.type, message))
        for client in self._clients:
            await client.aclose()
        self.opened.clear()
        self._clients.clear()

    async def _open(self, api: Api, entry: ConfiguredProvider, deps: Mapping[Api, Any]) -> OpenProvider:
        if (api, entry.provider_id) in self.opened:
            raise ProviderRefused(
                f"the provider_id '{entry.provider_id}' is used twice in {api}; give each provider its own"
            )
        descriptor = self._catalog.find(api, entry.provider_type, entry.module)
        config = checked_config(descriptor, entry.config)
        for unknown in unknown_keys(descriptor, config):
            self._report(api, entry, unknown, fatal=False)
        missing = [str(needed) for needed in descriptor.api_dependencies if needed not in deps]
        if missing:
            raise ProviderRefused(f"needs a provider of {', '.join(missing)}, and none is configured")
        impl = descriptor.create(config, self._context(api, entry, descriptor, deps))
        await self._started(api, entry, impl)
        try:
            check_ports(api, impl, descriptor)  # only now, as a legacy provider has its methods once it is open
        except ProviderRefused:
            if isinstance(impl, Closes):
                await impl.close()
            raise
        return OpenProvider(api, entry.provider_id, descriptor, config, impl)

    async def _started(self, api: Api, entry: ConfiguredProvider, impl: object) -> None:
        for notice in getattr(impl, "notices", ()):
            self._report(api, entry, notice, fatal=False)
        if not isinstance(impl, Opens):
            return
        stalls = StallWatch(f"provider '{entry.provider_id}' ({entry.provider_type})", self._stall_s)
        try:
            with stalls:
                async with asyncio.timeout(self._open_timeout_s):
                    await impl.open()
        except TimeoutError:
            raise ProviderRefused(
                f"did not open within {self._open_timeout_s:g} seconds; it must not wait for the network then"
            ) from None
        if stalls.longest_s > self._stall_s:
            blocked = f"it blocked the event loop for {stalls.longest_s:.1f} s while it opened"
            self._report(api, entry, f"{blocked}; what takes long belongs into a thread", fatal=False)

    def _context(
        self, api: Api, entry: ConfiguredProvider, descriptor: Descriptor, deps: Mapping[Api, Any]
    ) -> ProviderContext:
        wanted = {*descriptor.api_dependencies, *descriptor.optional_api_dependencies}
        return ProviderContext(
            provider_id=entry.provider_id,
            provider_type=entry.provider_type,
            state_dir=self._state_dir / api / entry.provider_id,
            http=lambda network: self._client(entry.provider_id, network),
            kv=self._kv(api, entry.provider_id),
            deps={api: deps[api] for api in wanted if api in deps},
        )

    def _client(self, provider_id: str, network: BaseModel | None) -> HttpClient:
        client = self._http(provider_id, network)
        self._clients.append(client)
        return client

    def _report(self, api: str, entry: ConfiguredProvider, message: str, *, fatal: bool = True) -> None:
        shown = without_secrets(message, dict(entry.config))  # a package's error may repeat what it was given
        self.problems.append(ProviderProblem(api, entry.provider_id, entry.provider_type, shown, fatal))


def checked_config(descriptor: Descriptor, config: Mapping[str, Any]) -> BaseModel:
    """The provider's config as its own model has it. `ProviderRefused` names each wrong field, never its value."""
    try:
        return descriptor.config.model_validate(config)
    except ValidationError as error:
        wrong = [
            f"config.{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False, include_context=False)
        ]
        raise ProviderRefused("; ".join(wrong)) from None
    except Exception as error:  # of a package's own model, which pydantic lets through
        raise ProviderRefused(f"config: {type(error).__name__}: {error}") from error


def unknown_keys(descriptor: Descriptor, config: BaseModel) -> Iterable[str]:
    """A warning for each key that the provider's config does not know, with the nearest that it does."""
    known = list(descriptor.config.model_fields)
    for key in config.model_extra or ():
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
        yield f"config.{key} is not known and has no effect; {hint}"


def check_ports(api: Api, impl: object, descriptor: Descriptor) -> None:
    """A provider of an API that we know must satisfy a port of it."""
    ports = PORTS.get(api, ())
    if ports and not any(isinstance(impl, port) for port in ports):
        methods = ", ".join(sorted(_method_of(port) for port in ports))
        raise ProviderRefused(f"{descriptor.module} has none of the methods of {api}: {methods}")


def _method_of(port: type) -> str:
    return next(name for name in vars(port) if not name.startswith("_"))
