"""CORS, for pages of other origins. Only where it is configured; it answers preflight requests before anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from llama_stack.http.asgi import ASGIApp

if TYPE_CHECKING:
    from llama_stack.config.server import CorsConfig


def with_cors(app: ASGIApp, policy: CorsConfig) -> ASGIApp:
    # Imported here because most servers have no CORS.
    from starlette.middleware.cors import CORSMiddleware

    wrapped = CORSMiddleware(
        app,
        allow_origins=policy.allow_origins,
        allow_origin_regex=policy.allow_origin_regex,
        allow_methods=policy.allow_methods,
        allow_headers=policy.allow_headers,
        allow_credentials=policy.allow_credentials,
        expose_headers=policy.expose_headers,
        max_age=policy.max_age,
    )
    return cast(ASGIApp, wrapped)
