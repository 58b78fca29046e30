"""What no single section can tell: whether the parts of a run config fit together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from llama_stack.config.apis import ABSENT_APIS, PROVIDER_APIS, known_apis
from llama_stack.config.model import RunConfig
from llama_stack.config.problem import ConfigPath, Problem, Severity
from llama_stack.config.storage import kind_of_backend, kind_of_reference


def check_config(config: RunConfig) -> Iterator[Problem]:
    yield from _apis(config)
    yield from _provider_ids(config)
    yield from _stores(config)
    yield from _models(config)
    yield from _safety(config)
    yield from _connectors(config)
    yield from _runs(config)
    yield from _external(config)


def _runs(config: RunConfig) -> Iterator[Problem]:
    reference = config.storage.stores.responses
    backend = config.storage.backends.get(reference.backend)
    if not config.server.runs.execute and backend is not None and backend.type == "sql_sqlite":
        yield Problem(
            "nobody would execute what runs in the background: a SQLite file has one serving process",
            ("server", "runs", "execute"),
            remedy="Remove it, or use PostgreSQL and `llama stack worker`",
        )


def _apis(config: RunConfig) -> Iterator[Problem]:
    for index, api in enumerate(config.apis):
        yield from _api(api, ("apis", index), config)
    for api in config.providers:
        if api not in config.apis:
            yield from _api(api, ("providers", api), config)
        if api in PROVIDER_APIS and not config.serves(api):
            effect = "" if config.opens(api) else " and its providers not opened"
            yield Problem(
                f"`apis` does not list {api!r}, so its routes are not offered{effect}",
                ("providers", api),
                severity=Severity.NOTICE,
            )


def _api(api: str, path: ConfigPath, config: RunConfig) -> Iterator[Problem]:
    if api in ABSENT_APIS:
        yield Problem(
            f"the API {api!r} is not part of this server; its providers are ignored", path, severity=Severity.NOTICE
        )
    elif api not in known_apis() and config.external_apis_dir is None:
        close = get_close_matches(api, known_apis(), n=1)
        remedy = f"Did you mean {close[0]!r}?" if close else f"Providers are possible for {', '.join(PROVIDER_APIS)}"
        yield Problem(f"the API {api!r} is not known", path, remedy=remedy, severity=Severity.MISTAKE)


def _provider_ids(config: RunConfig) -> Iterator[Problem]:
    for api, entries in config.providers.items():
        first: dict[str, int] = {}
        for index, entry in enumerate(entries):
            if entry.provider_id in first:
                yield Problem(
                    f"the provider_id {entry.provider_id!r} is taken by entry {first[entry.provider_id]} of this API",
                    ("providers", api, index, "provider_id"),
                    remedy="Give each provider an id of its own",
                )
            first.setdefault(entry.provider_id, index)


def _stores(config: RunConfig) -> Iterator[Problem]:
    backends = config.storage.backends
    for name, reference in config.storage.stores.references().items():
        kind = kind_of_reference(reference)
        fitting = sorted(key for key, backend in backends.items() if kind_of_backend(backend) == kind)
        remedy = f"Name one of {', '.join(fitting)}" if fitting else f"Add a {kind}_… backend under storage.backends"
        path = ("storage", "stores", name, "backend")
        if reference.backend not in backends:
            yield Problem(f"the backend {reference.backend!r} is not configured", path, remedy=remedy)
        elif reference.backend not in fitting:
            found = f"{reference.backend!r} is {backends[reference.backend].type}"
            yield Problem(f"the store needs a {kind} backend, and {found}", path, remedy=remedy)


def _models(config: RunConfig) -> Iterator[Problem]:
    known = {entry.provider_id for entry in config.providers.get("inference", [])}
    names = Counter(
        (model.provider_id, name)
        for model in config.registered_resources.models
        for name in (model.model_id, *model.aliases)
    )
    for index, model in enumerate(config.registered_resources.models):
        path: ConfigPath = ("registered_resources", "models", index)
        for name in (model.model_id, *model.aliases):
            if names[(model.provider_id, name)] > 1:
                yield Problem(
                    f"the name {name!r} is registered more than once for the same provider",
                    path,
                    remedy="Rename one, or list both places under `targets` of one model",
                )
        if model.provider_id is None and not model.targets and len(known) > 1:
            yield Problem(
                "the model names no provider, and there are several",
                path,
                remedy=f"Add provider_id: one of {', '.join(sorted(known))}, or all",
            )
        wanted = {model.provider_id, *(target.provider_id for target in model.targets)} - {None, "all"}
        for provider_id in sorted(filter(None, wanted)):
            if provider_id not in known:
                yield Problem(
                    f"the inference provider {provider_id!r} is not configured, or turned off by its environment "
                    "variable; the model is not served by it",
                    path,
                    severity=Severity.NOTICE,
                )


def _safety(config: RunConfig) -> Iterator[Problem]:
    shields = [shield.shield_id for shield in config.registered_resources.shields]
    default = config.safety.default_shield_id
    if default is not None and shields and default not in shields:
        yield Problem(
            f"the shield {default!r} is not registered",
            ("safety", "default_shield_id"),
            remedy=f"Registered: {', '.join(shields)}",
        )
    for index, guard in enumerate(config.safety.guards):
        for shield_id in guard.shields:
            if shield_id not in shields:  # a guard that cannot be asked would let nothing pass
                yield Problem(
                    f"the shield {shield_id!r} is not registered",
                    ("safety", "guards", index, "shields"),
                    remedy=f"Registered: {', '.join(shields) or 'none'} (registered_resources.shields)",
                )


def _connectors(config: RunConfig) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, entry in enumerate(config.connectors):
        if entry.connector_id in first:
            yield Problem(
                f"the connector_id {entry.connector_id!r} is taken by entry {first[entry.connector_id]}",
                ("connectors", index, "connector_id"),
                remedy="Give each connector an id of its own",
            )
        first.setdefault(entry.connector_id, index)


def _external(config: RunConfig) -> Iterator[Problem]:
    for name in ("external_providers_dir", "external_apis_dir"):
        directory: Path | None = getattr(config, name)
        if directory is not None and not directory.is_dir():
            yield Problem(
                f"there is no directory {directory}",
                (name,),
                remedy="Create it, or remove the setting",
                severity=Severity.MISTAKE,
            )
