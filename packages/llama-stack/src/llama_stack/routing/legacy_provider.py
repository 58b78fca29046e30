"""Packages written for llama-stack-api 0.7, turned into descriptors: the only file that knows their conventions.

Such a package has `provider.get_provider_spec()`, which returns one spec or a list. A spec names a module with
`get_adapter_impl(config, deps)` (remote) or `get_provider_impl(config, deps)` (inline), perhaps with the access policy
as a third argument. The object that this returns takes no `call` in its methods, closes by `shutdown()`, and may ask
other APIs in the same manner.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from llama_stack.routing.errors import ProviderModuleInvalid
from llama_stack_api.api import Api
from llama_stack_api.errors import InvalidRequest, NotFound
from llama_stack_api.openai.moderations import (
    CreateModerationRequest,
    CreateModerationResponse,
    ModerationText,
    ModerationVerdict,
    verdict,
)
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import Descriptor, HealthResponse, HealthStatus, ProviderContext
from llama_stack_api.safety import ModerationObject, ModerationObjectResults, RunModerationRequest
from llama_stack_api.shields import GetShieldRequest, Shield
from llama_stack_api.specs import ProviderSpec
from llama_stack_api.tools import ToolDef, ToolInvocationResult
from llama_stack_api.wire import EncodedReply

FACTORIES = {"remote": "get_adapter_impl", "inline": "get_provider_impl"}
LIFECYCLE = frozenset({"initialize", "shutdown", "health", "list_models", "register_model", "unregister_model"})


def legacy_descriptors(module: ModuleType) -> list[Descriptor]:
    """The descriptors of the specs that `module.get_provider_spec()` returns; none if it has no such function."""
    get_spec = vars(module).get("get_provider_spec")
    if get_spec is None:
        return []
    specs = get_spec()
    specs = specs if isinstance(specs, list) else [specs]
    for spec in specs:
        if not isinstance(spec, ProviderSpec):
            raise ProviderModuleInvalid(
                f"{module.__name__}.get_provider_spec() returned a {type(spec).__name__}; it must return a "
                "ProviderSpec of llama_stack_api, or a list of them"
            )
    return [_descriptor(spec, module) for spec in specs]


def _descriptor(spec: ProviderSpec, home: ModuleType) -> Descriptor:
    if spec.deprecation_error:
        raise ProviderModuleInvalid(f"{spec.provider_type} of package {home.__name__}: {spec.deprecation_error}")
    return Descriptor(
        api=spec.api,
        type=spec.provider_type,
        description=getattr(spec, "description", None) or f"{spec.provider_type} of package {home.__name__}",
        config=_config_class(spec, home),
        create=functools.partial(LegacyProvider, spec, home.__name__),
        pip_packages=tuple(spec.pip_packages),
        api_dependencies=tuple(spec.api_dependencies),
        optional_api_dependencies=tuple(spec.optional_api_dependencies),
        module=home.__name__,
    )


def _config_class(spec: ProviderSpec, home: ModuleType) -> type[BaseModel]:
    module_name, _, class_name = spec.config_class.rpartition(".")
    found = getattr(_import(module_name, spec, home.__name__), class_name, None)
    if inspect.isclass(found) and issubclass(found, BaseModel):
        return found
    raise ProviderModuleInvalid(
        f"{home.__name__}.get_provider_spec(): `config_class` {spec.config_class!r} of {spec.provider_type} is not a "
        "pydantic model; it must be the dotted path of one"
    )


def _import(name: str, spec: ProviderSpec, home: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (ImportError, ValueError) as error:
        raise ProviderModuleInvalid(
            f"{home}.get_provider_spec(): module {name!r} of {spec.provider_type} cannot be imported: {error}"
        ) from error


class LegacyProvider:
    """A provider of the former kind behind today's ports.

    Once open, it has each public method of the object that the package made, so that it satisfies exactly the ports
    that the object does. A `call` is taken off the arguments of a method and handed to the APIs that the object asks
    meanwhile, so they act for the same caller.
    """

    def __init__(self, spec: ProviderSpec, home: str, config: BaseModel, context: ProviderContext) -> None:
        self._spec = spec
        self._home = home
        self._config = config
        self._context = context
        self._call: ContextVar[Call] = ContextVar("call")
        self._shields = LegacyShieldStore()
        self._impl: Any = None

    async def open(self) -> None:
        module = await asyncio.to_thread(_import, self._spec.module or self._home, self._spec, self._home)
        name = FACTORIES[self._spec.provider_type.partition("::")[0]]
        factory = getattr(module, name, None)
        if factory is None:
            raise ProviderModuleInvalid(f"{module.__name__} of {self._spec.provider_type} has no function {name}()")
        dependencies = {api: LegacyDependency(impl, self._call) for api, impl in self._context.deps.items()}
        empty_policy: list[Any] = []
        arguments = (self._config, dependencies, empty_policy)[: min(3, len(inspect.signature(factory).parameters))]
        made = factory(*arguments)
        self._impl = await made if inspect.isawaitable(made) else made
        self._impl.__provider_id__ = self._context.provider_id
        self._impl.__provider_spec__ = self._spec
        self._impl.__provider_config__ = self._config
        if self._spec.api == Api.safety:
            self._impl.shield_store = self._shields
        for method, function in self._methods():
            setattr(self, method, function)

    async def close(self) -> None:
        if hasattr(self._impl, "shutdown"):
            await self._impl.shutdown()

    async def health(self) -> HealthResponse:
        if not hasattr(self._impl, "health"):
            return HealthResponse(status=HealthStatus.NOT_IMPLEMENTED)
        return HealthResponse.model_validate(await self._impl.health())

    def _methods(self) -> Iterator[tuple[str, Callable[..., Any]]]:
        for name, function in inspect.getmembers(self._impl, callable):
            if not name.startswith("_") and name not in LIFECYCLE:
                yield name, self._without_call(function)
        if hasattr(self._impl, "list_models"):
            yield "list_models", self._list_models
        if self._spec.api == Api.safety:
            yield "register_shield", self._register_shield
        if self._spec.api == Api.safety and hasattr(self._impl, "run_moderation"):
            yield "moderate", self._moderate
        if hasattr(self._impl, "list_runtime_tools"):
            yield "list_tools", self._list_tools
        if hasattr(self._impl, "invoke_tool"):
            yield "invoke_tool", self._invoke_tool

    def _without_call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def method(*args: Any, **kwargs: Any) -> Any:
            calls = [value for value in (*args, *kwargs.values()) if isinstance(value, Call)]
            token = self._call.set(calls[0] if calls else Call())
            try:
                result = function(
                    *(value for value in args if not isinstance(value, Call)),
                    **{name: value for name, value in kwargs.items() if not isinstance(value, Call)},
                )
                return await result if inspect.isawaitable(result) else result
            finally:
                self._call.reset(token)

        return method

    async def _list_models(self, call: Call) -> list[ProviderModel]:
        return [
            ProviderModel(
                id=model.provider_resource_id or model.identifier,
                model_type=ModelType(str(getattr(model.model_type, "value", model.model_type))),
                metadata=dict(model.metadata or {}),
            )
            for model in await self._without_call(self._impl.list_models)(call) or ()
        ]

    async def _list_tools(self, call: Call) -> list[ToolDef]:
        listed = await self._without_call(self._impl.list_runtime_tools)(call)
        return [ToolDef.model_validate(tool, from_attributes=True) for tool in getattr(listed, "data", listed) or ()]

    async def _invoke_tool(self, name: str, arguments: Mapping[str, Any], call: Call) -> ToolInvocationResult:
        result = await self._without_call(self._impl.invoke_tool)(name, dict(arguments), call)
        return ToolInvocationResult.model_validate(result, from_attributes=True)

    async def _moderate(self, request: CreateModerationRequest, call: Call) -> CreateModerationResponse:
        """Such a provider knows a shield by its own name, and text alone."""
        shield = await self._shields.get_shield(request.model or "")
        asked = RunModerationRequest(input=_texts(request), model=shield.provider_shield_id)
        found = await self._without_call(self._impl.run_moderation)(asked, call)
        judged = ModerationObject.model_validate(found, from_attributes=True)
        return CreateModerationResponse(
            id=judged.id, model=shield.identifier, results=[_verdict(each) for each in judged.results]
        )

    async def _register_shield(self, shield: Shield) -> None:
        if hasattr(self._impl, "register_shield"):
            await self._impl.register_shield(shield)
        self._shields.add(shield)


def _texts(request: CreateModerationRequest) -> str | list[str]:
    if isinstance(request.input, str):
        return request.input
    texts = [each for each in request.input if isinstance(each, str)]
    if texts:
        return texts
    if not all(isinstance(part, ModerationText) for part in request.input):
        raise InvalidRequest("This moderation model judges text alone; leave out the images.", param="input")
    return "\n".join(part.text for part in request.input if isinstance(part, ModerationText))


def _verdict(found: ModerationObjectResults) -> ModerationVerdict:
    made = verdict(
        found.category_scores or {},
        found.categories or {},
        ["text"],
        user_message=found.user_message,
        metadata=found.metadata or None,
    )
    # Flagged, perhaps without a category.
    return made.model_copy(update={"flagged": found.flagged or made.flagged})


class LegacyShieldStore:
    """Where a legacy safety provider looks up the shield that it is asked to run: its attribute `shield_store`."""

    def __init__(self) -> None:
        self._shields: dict[str, Shield] = {}

    def add(self, shield: Shield) -> None:
        self._shields[shield.identifier] = shield

    async def get_shield(self, request: GetShieldRequest | str) -> Shield:
        """By request, as in llama-stack-api 0.5 and later, or by id, as before."""
        shield_id = request if isinstance(request, str) else request.identifier
        if shield_id not in self._shields:
            raise NotFound(f"There is no shield {shield_id[:200]!r} of this provider.", param="shield_id")
        return self._shields[shield_id]


class LegacyDependency:
    """Another API as a legacy provider expects it: without a `call`, which is that of the request at work.

    Outside a request the caller is anonymous: a background task of a package gets no more rights than a stranger.
    """

    def __init__(self, impl: object, call: ContextVar[Call]) -> None:
        self._impl = impl
        self._call = call

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._impl, name)
        if not callable(member) or "call" not in _parameters(member):
            return member

        @functools.wraps(member)
        def with_call(*args: Any, **kwargs: Any) -> Any:
            result = member(*args, **{"call": self._call.get(Call()), **kwargs})
            return _decoded(result) if inspect.isawaitable(result) else result

        return with_call


async def _decoded(result: Awaitable[Any]) -> Any:
    """Objects, where today's ports hand over bytes."""
    reply = await result
    return reply.decode() if isinstance(reply, EncodedReply) else reply


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
