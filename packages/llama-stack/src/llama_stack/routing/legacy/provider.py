"""A provider of the former kind behind today's ports: its factory, its attributes, its methods."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from pydantic import BaseModel

from llama_stack.routing.errors import ProviderModuleInvalid
from llama_stack.routing.legacy.calls import CallScope, has
from llama_stack.routing.legacy.dependencies import LegacyDependency
from llama_stack.routing.legacy.files import file_methods
from llama_stack.routing.legacy.inference import LegacyModelStore, inference_methods
from llama_stack.routing.legacy.safety import LegacyShieldStore, safety_methods
from llama_stack.routing.legacy.tools import tool_methods
from llama_stack.routing.legacy.vectors import QueryEmbeddings, vector_methods
from llama_stack.routing.modules import import_module_of
from llama_stack_api.api import Api
from llama_stack_api.provider import HealthResponse, HealthStatus, ProviderContext
from llama_stack_api.specs import ProviderSpec

FACTORIES = {"remote": "get_adapter_impl", "inline": "get_provider_impl"}
LIFECYCLE = frozenset({"initialize", "shutdown", "health", "list_models", "register_model", "unregister_model"})


class LegacyProvider:
    """Once open, it has each public method of the object that the package made, so that it satisfies exactly the ports
    that the object does.

    `call` is taken off the arguments of a method and holds for the APIs that the object asks meanwhile. `validator` is
    the model of what the spec says to read of `X-LlamaStack-Provider-Data`.
    """

    def __init__(
        self,
        spec: ProviderSpec,
        home: str,
        scope: CallScope,
        validator: type[BaseModel] | None,
        config: BaseModel,
        context: ProviderContext,
    ) -> None:
        self._spec = spec
        self._home = home
        self._scope = scope
        self._validator = validator
        self._config = config
        self._context = context
        self._vector: ContextVar[list[bytes]] = ContextVar("llama_stack.query_vector")
        self.notices = (f"deprecated: {spec.deprecation_warning}",) if spec.deprecation_warning else ()
        self.legacy_impl: Any = None
        """What the package made; None before it is open."""

    async def open(self) -> None:
        self.legacy_impl = await self._made()
        try:
            self._become(self.legacy_impl)
        except BaseException:
            await self.close()  # nobody else does: what did not open is not closed
            raise

    def _become(self, impl: Any) -> None:
        impl.__provider_id__ = self._context.provider_id
        impl.__provider_spec__ = self._spec
        impl.__provider_config__ = self._config
        if self._validator is not None:
            impl.get_request_provider_data = self._provider_data
        if self._spec.api == Api.inference:
            impl.model_store = LegacyModelStore(self._context.provider_id)
        for name, function in self._methods():
            setattr(self, name, function)

    async def close(self) -> None:
        if has(self.legacy_impl, "shutdown"):
            closing = self.legacy_impl.shutdown()
            if inspect.isawaitable(closing):
                await closing

    async def health(self) -> HealthResponse:
        if not has(self.legacy_impl, "health"):
            return HealthResponse(status=HealthStatus.NOT_IMPLEMENTED)
        said = self.legacy_impl.health()
        said = await said if inspect.isawaitable(said) else said
        return HealthResponse.model_validate(said, from_attributes=True)

    async def _made(self) -> Any:
        """By the package's factory. One that is not async works in a thread, where it stops nobody."""
        said = f"`module` {self._spec.module!r} of {self._spec.provider_type}, of package {self._home}"
        module = await asyncio.to_thread(import_module_of, self._spec.module or self._home, said)
        name = FACTORIES[self._spec.provider_type.partition("::")[0]]
        factory = getattr(module, name, None)
        if factory is None:
            raise ProviderModuleInvalid(
                f"{module.__name__} of {self._spec.provider_type} has no function {name}(), which a spec of this kind "
                "promises; ask the authors of the package, or install another version of it"
            )
        dependencies: dict[Api, Any] = {
            api: LegacyDependency(impl, self._scope) for api, impl in self._context.deps.items()
        }
        if self._spec.api == Api.vector_io and Api.inference in dependencies:
            dependencies[Api.inference] = QueryEmbeddings(dependencies[Api.inference], self._vector)
        no_policy: list[Any] = []
        arguments = (self._config, dependencies, no_policy)[: _count(factory)]
        try:
            made = (
                factory(*arguments)
                if inspect.iscoroutinefunction(factory)
                else await asyncio.to_thread(factory, *arguments)
            )
            impl = await made if inspect.isawaitable(made) else made
        except (Exception, SystemExit) as error:
            raise ProviderModuleInvalid(
                f"{module.__name__}.{name}() failed ({type(error).__name__}: {error}); check this provider's config"
            ) from error
        if impl is None:
            raise ProviderModuleInvalid(f"{module.__name__}.{name}() returned nothing; it must return the provider")
        return impl

    def _methods(self) -> Iterator[tuple[str, Callable[..., Any]]]:
        impl, without_call = self.legacy_impl, self._scope.without_call
        for name, function in inspect.getmembers(impl, callable):
            if not name.startswith("_") and name not in LIFECYCLE and has(impl, name):
                yield name, without_call(function)
        match self._spec.api:
            case Api.inference:
                yield from inference_methods(impl, without_call)
            case Api.safety:
                yield from safety_methods(impl, without_call, LegacyShieldStore())
            case Api.tool_runtime:
                yield from tool_methods(impl, without_call, self._spec.toolgroup_id)
            case Api.files:
                yield from file_methods(impl, without_call)
            case Api.vector_io:
                yield from vector_methods(impl, self._context, self._vector)

    def _provider_data(self) -> BaseModel | None:
        """What the request at work brought for this package, as its validator has it; None where it brought nothing."""
        assert self._validator is not None
        brought = {key: _said(value.get_secret_value()) for key, value in self._scope.call.provider_data.items()}
        return self._validator.model_validate(brought) if brought else None


def _count(factory: Callable[..., Any]) -> int:
    """How many of config, dependencies and policy a factory takes."""
    parameters = inspect.signature(factory).parameters.values()
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return 3
    return min(3, sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters))


def _said(value: str) -> Any:
    """Objects and lists travel as JSON."""
    try:
        return json.loads(value) if value[:1] in ("{", "[") else value
    except ValueError:
        return value
