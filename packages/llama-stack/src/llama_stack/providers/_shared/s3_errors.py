"""What boto3 raises, as one of our errors. Messages name no address and no credential."""

from __future__ import annotations

from typing import Any

from llama_stack_api.errors import (
    LlamaStackError,
    NotFound,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderStreamBroken,
    ProviderTimeout,
    ProviderUnreachable,
    RateLimited,
)

_CREDENTIALS = {
    "AccessDenied",
    "AuthFailure",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
_BUSY = {
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "TooManyRequests",
    "ServiceUnavailable",
}
_NO_OBJECT = {"NoSuchKey", "NoSuchUpload"}


def code_of(error: Exception) -> str:
    """What the service calls it, the status where it says nothing more ("404"); "" for other failures."""
    response: Any = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def status_of(error: Exception) -> int | None:
    response: Any = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None


def error_of(error: Exception, provider: str, bucket: str) -> LlamaStackError:
    """`error` is one of botocore's `BotoCoreError` and `ClientError`."""
    from botocore import exceptions as boto

    who = f"Provider '{provider}'"
    match error:
        case boto.ClientError():
            return _error_of_reply(error, who, bucket)
        case boto.NoCredentialsError() | boto.PartialCredentialsError() | boto.CredentialRetrievalError():
            return ProviderRejectedCredentials(
                f"{who} has no complete credentials. Set aws_access_key_id and aws_secret_access_key in the run "
                "config, or give the server a role.",
                code="upstream_key_missing",
            )
        case boto.IncompleteReadError() | boto.ResponseStreamingError():
            return ProviderStreamBroken(f"{who} broke off its reply.")
        case boto.ReadTimeoutError():
            return ProviderTimeout(f"{who} did not answer in time.")
        case boto.ConnectTimeoutError():
            return ProviderUnreachable(f"{who} could not be reached: connecting timed out.")
        case boto.SSLError():
            return ProviderUnreachable(f"{who} could not be reached: its TLS certificate or handshake was refused.")
        case boto.HTTPClientError() | boto.ConnectionError():
            return ProviderUnreachable(f"{who} could not be reached. Check endpoint_url and region in the run config.")
    return ProviderError(f"{who} failed ({type(error).__name__}).")


def _error_of_reply(error: Exception, who: str, bucket: str) -> LlamaStackError:
    code, status = code_of(error), status_of(error)
    if code in _NO_OBJECT:
        return NotFound(f"{who} does not have the content of this file.")
    if code == "NoSuchBucket" or status == 404:
        return ProviderError(
            f"{who}: the bucket '{bucket}' does not exist. Create it, or set auto_create_bucket: true.",
            upstream_status=status,
        )
    if code in _CREDENTIALS or status in (401, 403):
        return ProviderRejectedCredentials(
            f"{who} was refused ({code or status}). Check its credentials, and what they may do in the bucket "
            f"'{bucket}'.",
            upstream_status=status,
        )
    if code in _BUSY or status in (429, 503):
        return RateLimited(f"{who} is asked too often ({code or status}). Try again later.")
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"):
        return ProviderError(f"{who}: the bucket '{bucket}' is in another region. Set region.", upstream_status=status)
    return ProviderError(f"{who} answered with {code or f'HTTP {status}'}.", upstream_status=status)
