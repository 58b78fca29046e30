"""Whether the providers of a run config exist and take the settings that they are given, without opening any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from llama_stack.config.model import ProviderEntry, RunConfig
from llama_stack.config.problem import ConfigPath, Problem, Severity
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.errors import RoutingConfigError
from llama_stack_api.api import Api
from llama_stack_api.provider import Descriptor

MakeProblem = Callable[..., Problem]


def entries_with_paths(config: RunConfig) -> Iterator[tuple[str, ProviderEntry, ConfigPath]]:
    """The providers that would be opened: API, entry, and the entry's path in the loaded config."""
    opened = {id(entry) for _, entry in config.provider_entries()}
    for api, entries in config.providers.items():
        for index, entry in enumerate(entries):
            if id(entry) in opened:
                yield api, entry, ("providers", api, index)


def check_providers(config: RunConfig, catalog: Catalog, problem: MakeProblem) -> Iterator[Problem]:
    """`problem(message, path, remedy, severity)` makes a finding of a path of the loaded config."""
    for api, entry, path in entries_with_paths(config):
        try:
            descriptor = catalog.find(Api(api), entry.provider_type, entry.module)
        except (RoutingConfigError, ValueError) as error:
            place = "provider_type" if entry.module is None else "module"
            yield problem(
                _without_place(str(error)), (*path, place), "The other providers are served", Severity.MISTAKE
            )
            continue
        yield from _check_settings(entry.config, descriptor, (*path, "config"), problem)


def _without_place(message: str) -> str:
    """The catalog's message begins with the API; the finding has the full path already."""
    return message.partition(": ")[2] if message.startswith("providers.") else message


def _check_settings(
    settings: dict[str, Any], descriptor: Descriptor, path: ConfigPath, problem: MakeProblem
) -> Iterator[Problem]:
    try:
        valid = descriptor.config.model_validate(settings)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            message = detail["msg"].removeprefix("Value error, ")
            yield problem(message[:1].lower() + message[1:], (*path, *detail["loc"]))
        return
    except Exception as error:  # noqa: BLE001 - a package's own model: whatever it raises, the others are checked
        yield problem(f"{type(error).__name__}: {error}", path)
        return
    known = sorted(descriptor.config.model_fields)
    for key in valid.model_extra or ():
        close = get_close_matches(key, known, n=1)
        remedy = f"Did you mean {close[0]!r}?" if close else f"Known here: {', '.join(known)}"
        yield problem(f"{descriptor.type} has no setting {key!r}", (*path, key), remedy, Severity.MISTAKE)
