"""The order of an examination: the machine, the config, what its providers need, storage, the port, the backends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence

from llama_stack.cli.configs import provider_problems
from llama_stack.cli.detect import PROBES, Probe
from llama_stack.cli.doctor import address, machine, providers, storage
from llama_stack.cli.doctor.finding import Finding, ok, problem, warning
from llama_stack.cli.doctor.variables import check_variables, referenced
from llama_stack.cli.failure import Failure
from llama_stack.cli.runner.banner import turned_off
from llama_stack.cli.runner.start import Wishes, load
from llama_stack.config import ConfigError, LoadedConfig, Problem
from llama_stack.config.locate import packaged_distributions
from llama_stack.config.paths import distribution_dir
from llama_stack.config.problem import Severity
from llama_stack.routing.catalog import Catalog

OFF_SHOWN_MAX = 5


def examine(reference: str | None, environ: Mapping[str, str], probes: Sequence[Probe] = PROBES) -> Iterator[Finding]:
    """All findings of a config, which need not even be readable."""
    yield from machine.check_python()
    yield from machine.check_packages()
    try:
        loaded, seen = load(Wishes(config=reference), environ, probes)
    except ConfigError as error:
        yield from check_variables(environ, _known_variables(""))
        yield from (_of_config(each) for each in error.problems)
        return
    except Failure as failure:
        yield problem("config", failure.what, failure.remedy)
        return
    yield from check_variables(environ, _known_variables(loaded.path.read_text(encoding="utf-8")))
    yield from _config(loaded, seen)
    found = providers.configured_providers(loaded, Catalog.of(loaded.config))
    yield from providers.check_extras(found)
    yield from _storage_and_address(loaded, seen)
    skews = providers.Skews()
    backends = asyncio.run(providers.check_backends(found, skews))
    yield from machine.check_clock(skews.seconds)
    yield from backends


def _config(loaded: LoadedConfig, environ: Mapping[str, str]) -> Iterator[Finding]:
    doubts = [*loaded.warnings, *provider_problems(loaded, environ)]
    yield from (_of_config(each) for each in doubts)
    on = [(api, entry.provider_id) for api, entry in loaded.config.provider_entries()]
    if not any(each.severity is Severity.ERROR for each in doubts):
        yield ok("config", f"{loaded.path}: {len(on)} provider{'s' * (len(on) != 1)}")
    off = turned_off(loaded.switches, on)
    if off:
        shown = ", ".join(f"{provider_id} ({variable})" for provider_id, variable in off[:OFF_SHOWN_MAX])
        more = len(off) - OFF_SHOWN_MAX
        yield ok("config", f"turned off, as the variable is not set: {shown}{f' and {more} more' if more > 0 else ''}")


def _storage_and_address(loaded: LoadedConfig, environ: Mapping[str, str]) -> Iterator[Finding]:
    config = loaded.config
    state = distribution_dir(config.distro_name, environ)
    yield from storage.check_state_directory(state)
    yield from asyncio.run(storage.check_storage(config))
    yield from storage.check_processes(loaded)
    yield from storage.check_sealing_key(config, state)
    yield from machine.check_descriptors(config.server.limits.concurrent_requests_max)
    yield from address.check_port(config.server)
    yield from address.check_open_to_the_network(config.server)
    yield from address.check_tls(config.server)


def _of_config(found: Problem) -> Finding:
    from dataclasses import replace

    make = problem if found.severity is Severity.ERROR else warning
    return make("config", str(replace(found, remedy=None)), found.remedy)


def _known_variables(text: str) -> set[str]:
    return referenced([text, *_texts_of_distributions()])


def _texts_of_distributions() -> Iterable[str]:
    return (path.read_text(encoding="utf-8") for path in packaged_distributions().values())
