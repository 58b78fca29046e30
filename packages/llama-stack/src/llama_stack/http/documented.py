"""The FastAPI application: it routes what is not hot, and its OpenAPI document states all that the server has.

The document comes from the types that parse requests and build replies. A hot operation has a route here too, which
stands in the document and leads to the very same handler.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from pydantic.warnings import UnsupportedFieldAttributeWarning
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from llama_stack.http import sse
from llama_stack.http.asgi import Receive, Scope, Send
from llama_stack.http.dispatch import API_OF_TAG, SCOPE_KEY, Handler, Operation
from llama_stack.http.docs_page import HEADERS, docs_page
from llama_stack.http.exchange import Exchange, Stopped, not_json
from llama_stack.http.external import add_external_routes
from llama_stack.http.routes.batches import add_batch_routes
from llama_stack.http.routes.connectors import add_connector_routes
from llama_stack.http.routes.conversations import add_conversation_routes
from llama_stack.http.routes.file_processors import add_file_processor_routes
from llama_stack.http.routes.files import add_file_routes
from llama_stack.http.routes.model import add_model_routes
from llama_stack.http.routes.parts import documented_errors
from llama_stack.http.routes.prompts import add_prompt_routes
from llama_stack.http.routes.providers import add_provider_routes
from llama_stack.http.routes.safety import add_shield_routes
from llama_stack.http.routes.stored import add_stored_routes
from llama_stack.http.routes.stored_message_batches import add_message_batch_routes
from llama_stack.http.routes.stored_responses import add_response_routes
from llama_stack.http.routes.tools import add_tool_routes
from llama_stack.http.routes.uploads import add_upload_routes
from llama_stack.http.routes.vector_io import add_vector_io_routes
from llama_stack.http.routes.vector_store_files import add_vector_store_file_routes
from llama_stack.http.routes.vector_stores import add_vector_store_routes
from llama_stack.http.schema_names import rename_schemas
from llama_stack.security.public import PUBLIC_PATHS
from llama_stack.services.parsing import invalid_body, invalid_value
from llama_stack_api.errors import LlamaStackError, MalformedBody, MethodNotAllowed, NotFound
from llama_stack_api.openai.errors import ErrorResponse

if TYPE_CHECKING:
    from llama_stack.stack.services import Services

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}

DOCS_PATHS = ("/docs", "/redoc")

EVENTS = "1XX"
"""Under this key FastAPI is told the type of a stream's events; see `DocumentedApp.openapi`."""


class DocumentedApp(FastAPI):
    """FastAPI without its own error handling: errors go up to the edge, which renders all errors alike."""

    def __init__(self, **options: Any) -> None:
        super().__init__(docs_url=None, redoc_url=None, **options)
        self.kept_away: list[tuple[str, APIRoute]] = []
        self._rendering = threading.Lock()
        self._page: bytes | None = None
        for path in DOCS_PATHS:
            self.add_route(path, self._docs, include_in_schema=False)

    def build_middleware_stack(self) -> Any:
        return self._routed

    async def _routed(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as files:
            scope["fastapi_middleware_astack"] = files
            try:
                await self.router(scope, receive, send)
            except RequestValidationError as error:
                raise _invalid(error, scope[SCOPE_KEY]) from None
            except HTTPException as error:
                if isinstance(error.__cause__, LlamaStackError | Stopped):  # the body of a form could not be read
                    raise error.__cause__ from None
                raise self._refused(error, scope) from None

    def keep_away(self, serves: Callable[[str], bool]) -> None:
        """Take out the routes of APIs that are not served; who asks for one is told why it is not there."""
        for route in list(self._api_routes()):
            (api,) = {API_OF_TAG[str(tag)] for tag in route.tags}
            if not serves(api):
                self.router.routes.remove(route)
                self.kept_away.append((api, route))

    def _refused(self, error: HTTPException, scope: Scope) -> LlamaStackError:
        shown = f"{scope['method']} {scope['path'][:200]}"
        if error.status_code == MethodNotAllowed.status:
            allowed = ", ".join(sorted(self._methods_of(scope)))
            return MethodNotAllowed(f"{shown} is not possible; allowed here: {allowed}.", headers={"allow": allowed})
        if error.status_code == NotFound.status:
            for api, route in self.kept_away:
                if route.matches(scope)[0] != Match.NONE:
                    return NotFound(
                        f"{shown} is not served: the run config's `apis` does not list {api!r}.", code="api_not_served"
                    )
            return NotFound(f"There is no route {shown}; /v1/inspect/routes lists them.", code="unknown_url")
        # What json.loads refuses with anything but a place: bytes that are no UTF-8, numbers without end.
        return MalformedBody("The body is not valid JSON.")

    def _methods_of(self, scope: Scope) -> set[str]:
        matching = (
            route for route in self.routes if isinstance(route, Route) and route.matches(scope)[0] != Match.NONE
        )
        return {method for route in matching for method in route.methods or ()}

    def _api_routes(self) -> Iterator[APIRoute]:
        return (route for route in self.routes if isinstance(route, APIRoute))

    def openapi(self) -> dict[str, Any]:
        """The document. FastAPI knows one type per reply, so that of events travels under a status of its own."""
        with self._rendering:
            if self.openapi_schema is None:
                self._make_document()
            assert self.openapi_schema is not None
            return self.openapi_schema

    def _make_document(self) -> None:
        with _aliases_of_bodies_allowed():
            document = super().openapi()
        for path, operation in ((path, each) for path, item in document["paths"].items() for each in item.values()):
            _put_events_in_place(operation["responses"])
            _put_errors_into_json(operation["responses"])
            if path in PUBLIC_PATHS:
                operation["security"] = []
        rename_schemas(document)
        document["components"]["securitySchemes"] = SECURITY_SCHEMES
        # The empty one last: whether keys are asked for is the run config's to say.
        document["security"] = [*({name: []} for name in SECURITY_SCHEMES), {}]

    async def _docs(self, request: Request) -> Response:
        if self._page is None:
            self._page = await asyncio.to_thread(lambda: docs_page(self.openapi()))
        return HTMLResponse(self._page, headers=HEADERS)


def documented_app(services: Services, operations: Sequence[Operation]) -> DocumentedApp:
    app = DocumentedApp(
        title="Llama Stack",
        version=services.admin.version().version,
        responses=documented_errors(ErrorResponse),
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        default_response_class=JSONResponse,
    )
    for operation in operations:
        _document(app, operation)
    add_model_routes(app, services.models)
    add_stored_routes(app, services.stored)
    add_response_routes(app, services.responses)
    add_batch_routes(app, services.batches)
    add_message_batch_routes(app, services.message_batches)
    add_conversation_routes(app, services.conversations)
    add_prompt_routes(app, services.prompts)
    add_connector_routes(app, services.connectors)
    add_tool_routes(app, services.tools)
    add_shield_routes(app, services.shields)
    add_vector_store_routes(app, services.vector_stores.stores, services.vector_stores.search)
    add_vector_store_file_routes(
        app, services.vector_stores.files, services.vector_stores.content, services.vector_stores.batches
    )
    add_vector_io_routes(app, services.vector_stores.raw)
    add_file_routes(app, services.files, services.spool)
    add_file_processor_routes(app, services.file_processors, services.files, services.spool)
    add_upload_routes(app, services.uploads)
    add_provider_routes(app, services.admin)
    app.keep_away(services.admin.serves)
    for served in services.external:
        add_external_routes(app, served)
    with _aliases_of_bodies_allowed():
        for route in app.routes:
            if isinstance(route, APIRoute) and route.body_field is not None and not isinstance(route.app, Direct):
                route.body_field.validate({}, loc=())
    return app


@contextmanager
def _aliases_of_bodies_allowed() -> Iterator[None]:
    """FastAPI gives the type of a body an alias, and hides pydantic's warning of it; but our types build themselves
    later, out of its sight."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnsupportedFieldAttributeWarning)
        yield


class Direct:
    """A hot operation's handler as the ASGI application of its FastAPI route."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.handler(scope[SCOPE_KEY])


def _document(app: FastAPI, operation: Operation) -> None:
    request, reply = (operation.request, operation.reply) if operation.types is None else operation.types()
    responses = {} if operation.errors is None else documented_errors(operation.errors)
    if operation.events is not None:
        responses[EVENTS] = {"model": operation.events()}
    app.add_api_route(
        operation.path,
        _signature(operation.name, request, operation.query),
        methods=[operation.method],
        name=operation.name,
        summary=operation.summary,
        tags=[operation.tag],
        response_model=reply,
        response_class=JSONResponse if operation.media_type is None else PlainTextResponse,
        responses=responses,
    )
    route = app.routes[-1]
    assert isinstance(route, APIRoute)
    route.app = Direct(operation.handler)


def _signature(name: str, request: Any, query: Any) -> Any:
    """What FastAPI reads the request's types from. Never called: the route's application is the handler itself."""

    async def endpoint() -> None:
        raise AssertionError(f"{name} is answered by its handler")

    parameters = [] if request is None else [_parameter("body", request)]
    if query is not None:
        parameters.append(_parameter("query", Annotated[query, Query()]))
    endpoint.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return endpoint


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)


def _put_events_in_place(responses: dict[str, Any]) -> None:
    events = responses.pop(EVENTS, None)
    if events is not None:
        responses["200"]["content"][sse.MEDIA_TYPE] = {"schema": events["content"]["application/json"]["schema"]}


def _put_errors_into_json(responses: dict[str, Any]) -> None:
    """FastAPI documents them with the media type of the reply."""
    for status, response in responses.items():
        if status.startswith(("4", "5")) and "content" in response:
            (content,) = response["content"].values()
            response["content"] = {"application/json": content}


def _invalid(error: RequestValidationError, exchange: Exchange) -> LlamaStackError:
    errors = error.errors()
    place = errors[0]["loc"][0]
    inner = [{**each, "loc": each["loc"][1:]} for each in errors if each["loc"][0] == place]
    if place == "body":
        if not exchange.is_json:
            return not_json()
        if inner[0]["type"] == "json_invalid":
            return invalid_body([{**inner[0], "ctx": {"error": inner[0]["ctx"]["error"]}}], b"{")
        return invalid_value(inner, error.body)
    return invalid_value(inner, {each["loc"][0]: each.get("input") for each in inner if each["loc"]})
