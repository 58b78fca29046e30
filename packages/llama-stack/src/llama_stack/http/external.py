"""The routes of external APIs, which packages add: behind the same authentication as all others, with our errors.

A package makes a FastAPI router of its own. What it says of status codes holds, in the shape of our errors; what it
says of being public does not, and what would stand in the place of a public path is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from llama_stack.http.asgi import Receive, Scope, Send
from llama_stack.http.routes.parts import CallOf
from llama_stack.security.public import PUBLIC_PATHS
from llama_stack_api.errors import (
    Conflict,
    InvalidRequest,
    LlamaStackError,
    MethodNotAllowed,
    NotFound,
    NotImplementedByProvider,
    Overloaded,
    PayloadTooLarge,
    PermissionDenied,
    ProviderError,
    ProviderTimeout,
    RateLimited,
    RequestTimeout,
    Unauthenticated,
    UnsupportedMedia,
)

if TYPE_CHECKING:
    from llama_stack.stack.services import ServedApi

_BY_STATUS: dict[int, type[LlamaStackError]] = {
    error.status: error
    for error in (
        InvalidRequest,
        Unauthenticated,
        PermissionDenied,
        NotFound,
        MethodNotAllowed,
        RequestTimeout,
        Conflict,
        PayloadTooLarge,
        UnsupportedMedia,
        RateLimited,
        NotImplementedByProvider,
        Overloaded,
        ProviderTimeout,
    )
}


def add_external_routes(app: FastAPI, served: ServedApi) -> None:
    """What is wrong with the router is reported; the routes of the others are served."""
    try:
        router = served.module.create_router(served.impl)
        if not isinstance(router, APIRouter):
            raise TypeError(f"it returned a {type(router).__name__}, no fastapi.APIRouter")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a package's own code; the others serve
        served.report(f"{served.module.__name__}.create_router() failed ({type(error).__name__}: {error})")
        return
    taken = {(method, each.path) for each in app.routes if isinstance(each, APIRoute) for method in each.methods or ()}
    for route in router.routes:
        refusal = _refusal(route, taken)
        if refusal is None:
            assert isinstance(route, APIRoute)
            _add(app, route, served)
        else:
            served.report(f"the route {getattr(route, 'path', route)} is not served: {refusal}")


def _entering(served: ServedApi) -> Any:
    async def enter(call: CallOf) -> None:
        served.enter(call)

    return enter


def _refusal(route: BaseRoute, taken: set[tuple[str, str]]) -> str | None:
    """Why a route is not served; None where it is."""
    if not isinstance(route, APIRoute):
        return "it is no route of FastAPI's; add each to the router itself"
    if any((method, route.path) in taken for method in route.methods or ()):
        return "the server has a route of this path itself"
    if any(route.path_regex.match(path) for path in PUBLIC_PATHS):
        return "its path is public here"
    return None


def _add(app: FastAPI, route: APIRoute, served: ServedApi) -> None:
    """A copy: one that FastAPI includes would not be seen by what lists the routes."""
    app.router.add_api_route(
        route.path,
        route.endpoint,
        response_model=route.response_model,
        status_code=route.status_code,
        tags=[served.name],
        dependencies=[Depends(_entering(served)), *route.dependencies],
        summary=route.summary,
        description=route.description,
        response_description=route.response_description,
        responses=_described(route.responses),
        deprecated=route.deprecated,
        methods=route.methods,
        operation_id=f"{served.name}_{route.operation_id or route.name}",
        response_model_include=route.response_model_include,
        response_model_exclude=route.response_model_exclude,
        response_model_by_alias=route.response_model_by_alias,
        response_model_exclude_unset=route.response_model_exclude_unset,
        response_model_exclude_defaults=route.response_model_exclude_defaults,
        response_model_exclude_none=route.response_model_exclude_none,
        include_in_schema=route.include_in_schema,
        response_class=route.response_class,
        name=f"{served.name}_{route.name}",
        route_class_override=type(route),
        openapi_extra=route.openapi_extra,
    )
    added = app.router.routes[-1]
    assert isinstance(added, APIRoute)
    added.app = _Translating(added.app)


def _described(responses: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """Without references into the document of another server."""
    return {status: said for status, said in responses.items() if "$ref" not in said}


class _Translating:
    """A route's application, with whatever it raises as one of our errors."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except HTTPException as error:
            raise _translated(error) from error
        except NotImplementedError as error:
            raise NotImplementedByProvider(str(error) or "This is not implemented.") from error
        except SystemExit as error:
            raise ProviderError("The API ended its work before it answered.") from error
        except ValidationError:
            raise
        except ValueError as error:  # as version 0.7 had it
            raise InvalidRequest(str(error) or "The request is not valid.") from error


def _translated(error: HTTPException) -> LlamaStackError:
    message = error.detail if isinstance(error.detail, str) else str(error.detail)
    other = InvalidRequest if error.status_code < 500 else ProviderError
    made = _BY_STATUS.get(error.status_code, other)
    return made(message[:2000])
