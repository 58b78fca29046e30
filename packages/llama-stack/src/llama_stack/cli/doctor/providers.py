"""The providers of a config: their settings, the packages that they need, and the backends behind them.

A remote provider is made as the server makes it and asked for its models, all of them at once and not for long. Those
that have nothing to ask are tried at their address. What runs inside the server is not started.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from llama_stack.cli.doctor.finding import Finding, ok, problem, warning
from llama_stack.cli.one_provider import created
from llama_stack.cli.recipes.variables import Variable, variables_of
from llama_stack.cli.requirements import install_command, unfit_packages
from llama_stack.config import LoadedConfig
from llama_stack.config.model import ProviderEntry
from llama_stack.config.redact import names_secret
from llama_stack.net.client import NetClient
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.errors import ProviderRefused, RoutingConfigError
from llama_stack.routing.opening import checked_config
from llama_stack_api.api import Api
from llama_stack_api.errors import LlamaStackError, ProviderRejectedCredentials, ProviderUnreachable
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.ports.inference import ModelListing
from llama_stack_api.ports.lifecycle import Closes, Opens
from llama_stack_api.principal import SYSTEM_CALL
from llama_stack_api.provider import Descriptor

PROBE_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 3.0
PROBES_AT_ONCE = 32
_ADDRESSES = ("base_url", "url", "uri", "endpoint", "host")


@dataclass(frozen=True, slots=True)
class Configured:
    """A provider entry that its descriptor takes; `key_variables` are those that its file names for its credentials."""

    api: Api
    entry: ProviderEntry
    descriptor: Descriptor
    config: BaseModel
    key_variables: tuple[str, ...] = ()

    @property
    def check(self) -> str:
        return f"{self.api} {self.entry.provider_id}"


@dataclass(slots=True)
class Skews:
    """By how many seconds this machine's clock is ahead of those who answered, as their `Date` says."""

    seconds: list[float] = field(default_factory=list)

    def note(self, headers: Mapping[str, str]) -> None:
        with suppress(KeyError, ValueError, TypeError):
            self.seconds.append(time.time() - parsedate_to_datetime(headers["Date"]).timestamp())


def configured_providers(loaded: LoadedConfig, catalog: Catalog) -> list[Configured]:
    """Those that would be opened; what is wrong with the others is the config's to tell."""
    variables = variables_of(loaded.path.read_text(encoding="utf-8"))
    found = []
    for api, entry in loaded.config.provider_entries():
        with suppress(RoutingConfigError, ProviderRefused, ValueError):
            descriptor = catalog.find(Api(api), entry.provider_type, entry.module)
            config = checked_config(descriptor, entry.config)
            keys = tuple(each.name for each in variables if _is_key(each, entry.provider_id))
            found.append(Configured(Api(api), entry, descriptor, config, keys))
    return found


def check_extras(providers: list[Configured]) -> Iterator[Finding]:
    """Packages that a provider's descriptor names and that are not here."""
    whole = True
    for each in providers:
        packages = [text for text in each.descriptor.pip_packages if unfit_packages([text])]
        weights = [text for text in each.descriptor.pip_weights if unfit_packages([text])]
        if packages or weights:
            whole = False
            why = "; ".join(unfit_packages([*packages, *weights]))
            yield problem(
                "extras",
                f"{each.entry.provider_id} ({each.entry.provider_type}): {why}",
                install_command(packages, weights),
            )
    if whole:
        yield ok("extras", "every provider has the packages that it needs")


async def check_backends(
    providers: list[Configured], skews: Skews, timeout_s: float = PROBE_TIMEOUT_S
) -> list[Finding]:
    """In the order of the config, however long each takes."""
    remote = [each for each in providers if each.descriptor.is_remote]
    gate = asyncio.Semaphore(PROBES_AT_ONCE)

    async def probed(each: Configured) -> Finding | None:
        async with gate:
            return await _probe(each, skews, timeout_s)

    return [finding for finding in await asyncio.gather(*map(probed, remote)) if finding is not None]


async def _probe(each: Configured, skews: Skews, timeout_s: float) -> Finding | None:
    if each.api != Api.inference:
        return await _try_address(each)
    begun = time.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            models = await _models_of(each, skews)
    except TimeoutError:
        return problem(each.check, f"no answer in {timeout_s:g} s", _reach(each))
    except ProviderRejectedCredentials as error:
        variables = " or ".join(each.key_variables) or f"its api_key in providers.{each.api}"
        if error.code == "upstream_key_missing":
            return warning(
                each.check, "no key is set; only requests that bring their own are served", f"Set {variables}"
            )
        return problem(each.check, error.message, f"Renew the key: {variables}")
    except ProviderUnreachable as error:
        return problem(each.check, error.message, _reach(each))
    except LlamaStackError as error:
        return problem(each.check, error.message, f"See providers.{each.api} in the config")
    except Exception as error:  # noqa: BLE001 - a provider's own code
        return problem(each.check, f"{type(error).__name__}: {error}", f"See providers.{each.api} in the config")
    if models is None:
        return await _try_address(each)
    if not models:
        return warning(each.check, "it answers, and lists no model", "Load or pull one there, or see allowed_models")
    plural = "s" * (models != 1)
    return ok(each.check, f"{models} model{plural}, in {time.monotonic() - begun:.1f} s")


async def _models_of(each: Configured, skews: Skews) -> int | None:
    """How many it lists now; None if it does not list any."""
    async with (
        created(each.entry, each.descriptor, each.config, lambda client: _Noting(client, skews)) as impl,
        AsyncExitStack() as exits,
    ):
        if isinstance(impl, Opens):
            await impl.open()
        if isinstance(impl, Closes):
            exits.push_async_callback(impl.close)
        return len(await impl.list_models(SYSTEM_CALL)) if isinstance(impl, ModelListing) else None


class _Noting:
    """An HTTP client that notes what the other side takes the time to be."""

    def __init__(self, client: NetClient, skews: Skews) -> None:
        self._client = client
        self._skews = skews

    async def send(self, method: str, url: str, **options: Any) -> HttpReply:
        reply = await self._client.send(method, url, **options)
        self._skews.note(reply.headers)
        return reply

    async def aclose(self) -> None:
        await self._client.aclose()


async def _try_address(each: Configured) -> Finding | None:
    """Whether somebody listens; None if the config names no address."""
    address = _address(each.config)
    if address is None:
        return None
    host, port = address
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return problem(each.check, f"{host}:{port} does not answer", _reach(each))
    except OSError as error:
        return problem(each.check, f"{host}:{port} cannot be reached: {error.strerror or error}", _reach(each))
    writer.close()
    return ok(each.check, f"{host}:{port} answers")


def _address(config: BaseModel) -> tuple[str, int] | None:
    for name in _ADDRESSES:
        value = getattr(config, name, None)
        if not isinstance(value, str) or not value:
            continue
        parts = urlsplit(value if "://" in value else f"//{value}")
        with suppress(ValueError):
            port = parts.port or getattr(config, "port", None) or {"http": 80, "https": 443}.get(parts.scheme)
            if parts.hostname and isinstance(port, int):
                return parts.hostname, port
    return None


def _reach(each: Configured) -> str:
    address = _address(each.config)
    where = f" at {address[0]}:{address[1]}" if address else ""
    return f"Start it{where}, put its address right, or leave the provider out; requests to it fail until then"


def _is_key(variable: Variable, provider_id: str) -> bool:
    """Whether a setting of the provider takes a credential from it."""
    settings = [each.removeprefix(f"{provider_id}: ") for each in variable.places]
    return any(each != place and names_secret(each) for each, place in zip(settings, variable.places, strict=True))
