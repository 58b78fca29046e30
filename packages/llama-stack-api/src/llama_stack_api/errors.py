"""One tree of errors. Each class states the HTTP status and the `type` and `code` of OpenAI's error object.

    LlamaStackError                      500 server_error
    ├── InvalidRequest                   400 invalid_request_error
    │   ├── MalformedBody                400 … invalid_json
    │   ├── UnsupportedParameter         400 … unsupported_parameter
    │   ├── ContextLengthExceeded        400 … context_length_exceeded
    │   ├── ContentFiltered              400 … content_filter
    │   ├── UnsupportedFile              400 … unsupported_file: of a type that cannot be read
    │   └── InvalidFile                  400 … invalid_file: broken, encrypted, or beyond the limits of reading it
    ├── Unauthenticated                  401 authentication_error, invalid_api_key
    ├── PermissionDenied                 403 permission_error, insufficient_permissions
    ├── NotFound                         404 invalid_request_error, not_found
    │   └── ModelNotFound                404 … model_not_found
    ├── MethodNotAllowed                 405 invalid_request_error, method_not_allowed
    ├── RequestTimeout                   408 … request_timeout: the client took too long
    ├── Conflict                         409 invalid_request_error, conflict
    ├── PayloadTooLarge                  413 invalid_request_error, payload_too_large
    ├── UnsupportedMedia                 415 invalid_request_error, unsupported_media_type
    ├── RateLimited                      429 rate_limit_error, rate_limit_exceeded
    ├── ProviderError                    502 upstream_error: the provider answered wrongly
    │   ├── ProviderUnreachable          502 … upstream_unreachable: no connection, no byte
    │   ├── ProviderStreamBroken         502 … upstream_stream_broken: cut, stalled or unreadable stream
    │   ├── ProviderRejectedCredentials  502 … upstream_authentication_failed
    │   └── ProviderTimeout              504 … upstream_timeout
    ├── NotImplementedByProvider         501 invalid_request_error, not_implemented
    └── Overloaded                       503 overloaded_error, overloaded

Shapes: https://platform.openai.com/docs/guides/error-codes. How an error is rendered (OpenAI, Anthropic, native) is
the server's concern; a provider only raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class LlamaStackError(Exception):
    """Base of all errors that may reach a client. `message` is for the caller: it says what to do, without secrets."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_code: ClassVar[str | None] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.default_code
        self.retry_after_s = retry_after_s
        self.headers = dict(headers or {})


class InvalidRequest(LlamaStackError):
    status = 400
    type = "invalid_request_error"
    default_code = "invalid_request"


class MalformedBody(InvalidRequest):
    default_code = "invalid_json"


class UnsupportedParameter(InvalidRequest):
    """A parameter that the chosen model or provider cannot honour; `param` names it."""

    default_code = "unsupported_parameter"


class ContextLengthExceeded(InvalidRequest):
    default_code = "context_length_exceeded"


class ContentFiltered(InvalidRequest):
    default_code = "content_filter"


class UnsupportedFile(InvalidRequest):
    default_code = "unsupported_file"


class InvalidFile(InvalidRequest):
    default_code = "invalid_file"


class Unauthenticated(LlamaStackError):
    status = 401
    type = "authentication_error"
    default_code = "invalid_api_key"


class PermissionDenied(LlamaStackError):
    status = 403
    type = "permission_error"
    default_code = "insufficient_permissions"


class NotFound(LlamaStackError):
    status = 404
    type = "invalid_request_error"
    default_code = "not_found"


class ModelNotFound(NotFound):
    default_code = "model_not_found"


class MethodNotAllowed(LlamaStackError):
    status = 405
    type = "invalid_request_error"
    default_code = "method_not_allowed"


class RequestTimeout(LlamaStackError):
    status = 408
    type = "invalid_request_error"
    default_code = "request_timeout"


class Conflict(LlamaStackError):
    status = 409
    type = "invalid_request_error"
    default_code = "conflict"


class PayloadTooLarge(LlamaStackError):
    status = 413
    type = "invalid_request_error"
    default_code = "payload_too_large"


class UnsupportedMedia(LlamaStackError):
    status = 415
    type = "invalid_request_error"
    default_code = "unsupported_media_type"


class RateLimited(LlamaStackError):
    """Too many requests, here or at the provider. `retry_after_s` becomes the `Retry-After` header."""

    status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"


class ProviderError(LlamaStackError):
    """A provider failed. `upstream_status` is the HTTP status that it answered with, if any."""

    status = 502
    type = "upstream_error"
    default_code = "upstream_error"

    def __init__(
        self,
        message: str,
        *,
        upstream_status: int | None = None,
        retry_after_s: float | None = None,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, param=param, code=code, retry_after_s=retry_after_s)
        self.upstream_status = upstream_status


class ProviderUnreachable(ProviderError):
    default_code = "upstream_unreachable"


class ProviderStreamBroken(ProviderError):
    default_code = "upstream_stream_broken"


class ProviderRejectedCredentials(ProviderError):
    default_code = "upstream_authentication_failed"


class ProviderTimeout(ProviderError):
    status = 504
    default_code = "upstream_timeout"


class NotImplementedByProvider(LlamaStackError):
    status = 501
    type = "invalid_request_error"
    default_code = "not_implemented"


class Overloaded(LlamaStackError):
    """A queue or limit of this server is full. The message names the setting that raises it."""

    status = 503
    type = "overloaded_error"
    default_code = "overloaded"
