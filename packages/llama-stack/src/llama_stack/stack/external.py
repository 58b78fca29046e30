"""External APIs: those that packages add to the server, each served by one provider."""

from __future__ import annotations

from functools import partial

from llama_stack.config.model import RunConfig
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.errors import ProviderModuleInvalid
from llama_stack.routing.opening import OpenProvider, ProviderOpener, ProviderProblem
from llama_stack.stack.dependencies import Dependencies
from llama_stack.stack.services import ServedApi
from llama_stack.telemetry.logs import get_logger


def serve_external_apis(
    config: RunConfig, catalog: Catalog, opener: ProviderOpener, dependencies: Dependencies
) -> list[ServedApi]:
    """Those of which a provider is open. What is wrong with the others is among the opener's problems."""
    for file, problem in catalog.external.broken.items():
        opener.problems.append(ProviderProblem("external_apis", file.stem, "external API", problem))
    served = []
    for name, external in catalog.external.apis.items():
        opened = [each for each in opener.opened.values() if each.api == name]
        for other in opened[1:]:
            message = (
                f"the API '{name}' is served by '{opened[0].id}'; an external API has one provider, remove the other"
            )
            opener.problems.append(ProviderProblem(name, other.id, other.descriptor.type, message))
        if not opened or not config.serves(name):
            continue
        impl = getattr(opened[0].impl, "legacy_impl", opened[0].impl)
        dependencies.be(external.api, impl)
        report = partial(_report, opener, opened[0])
        try:
            served.append(ServedApi(name, external.module(), impl, catalog.scope.enter, report))
        except ProviderModuleInvalid as error:
            report(str(error))
    return served


def _report(opener: ProviderOpener, provider: OpenProvider, message: str) -> None:
    """Also long after the start, when the routes are made."""
    problem = ProviderProblem(provider.api, provider.id, provider.descriptor.type, message)
    opener.problems.append(problem)
    get_logger("server").error("external_api_not_served", reason=str(problem))
