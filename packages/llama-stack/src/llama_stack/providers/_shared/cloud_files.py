"""Files that a request names and a cloud reads with the credentials of the call: the operator's, unless it brings its
own. Whoever may ask a model could otherwise have it read out whatever the operator's account may read."""

from __future__ import annotations

from collections.abc import Iterable

from llama_stack_api.errors import PermissionDenied
from llama_stack_api.principal import Call
from llama_stack_api.provider import Descriptor

_SHOWN_CHARS_MAX = 200
_OWN_CREDENTIALS = ("api_key", "access_token")


def check_cloud_files(
    named: Iterable[str], call: Call, *, allowed: bool, provider: str, descriptor: Descriptor
) -> None:
    """`PermissionDenied` at the first that is named, unless it is `allowed` or the call has credentials of its own."""
    if allowed:
        return
    for address in named:
        keys = [key for key, field in descriptor.data_keys.items() if field in _OWN_CREDENTIALS]
        if any(key in call.provider_data for key in keys):
            return
        raise PermissionDenied(
            f"{address[:_SHOWN_CHARS_MAX]!r} would be read with the credentials of this server. Send the file itself, "
            f"or your own {' or '.join(keys)} in X-LlamaStack-Provider-Data; the operator can allow it by "
            f"allow_cloud_files: true at provider '{provider}'.",
            param="messages",
        )
