"""`X-LlamaStack-Provider-Data`: a client's own provider keys, for one request."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from pydantic import SecretStr

from llama_stack_api.errors import InvalidRequest

HEADER = b"x-llamastack-provider-data"
BYTES_MAX = 16 * 1024
_NOTHING: Mapping[str, SecretStr] = {}


def provider_data(headers: Mapping[bytes, bytes]) -> Mapping[str, SecretStr]:
    """The header's JSON object, each value a secret; values that are not strings stay JSON, null is nothing.

    No value is ever echoed.
    """
    raw = headers.get(HEADER)
    if raw is None:
        return _NOTHING
    if len(raw) > BYTES_MAX:
        raise InvalidRequest(
            f"The header X-LlamaStack-Provider-Data is larger than {BYTES_MAX} bytes.", code="invalid_provider_data"
        )
    try:
        data = msgspec.json.decode(raw)  # which takes no half of a surrogate pair: a text with one cannot be sent on
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise InvalidRequest(
            'The header X-LlamaStack-Provider-Data must be a JSON object such as {"openai_api_key": "…"}.',
            code="invalid_provider_data",
        )
    return {
        key: SecretStr(value if isinstance(value, str) else msgspec.json.encode(value).decode())
        for key, value in data.items()
        if value is not None
    }
