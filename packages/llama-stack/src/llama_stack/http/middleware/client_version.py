"""`x-llamastack-client-version`: clients that were made for another API are told so at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llama_stack_api.errors import InvalidRequest

HEADER = b"x-llamastack-client-version"
DISABLED_BY = "LLAMA_STACK_DISABLE_VERSION_CHECK"

ALSO_SPOKEN = ("0.7",)
"""Release lines of the reference implementation whose API this server speaks."""


class ClientVersionMismatch(InvalidRequest):
    status = 426
    default_code = "client_version_mismatch"


class ClientVersionCheck:
    """Holds a client's major.minor against the server's own and those that it `also` speaks."""

    def __init__(self, server_version: str, also: Iterable[str] = ALSO_SPOKEN) -> None:
        self._server_version = server_version
        self._accepted = {_release_line(server_version), *also}

    def __call__(self, headers: Mapping[bytes, bytes]) -> None:
        given = headers.get(HEADER)
        if given is None:
            return
        version = given.decode("latin-1")[:64]
        if _release_line(version) not in self._accepted:
            raise ClientVersionMismatch(
                f"Client version {version!r} does not fit server version {self._server_version}: major and minor must "
                f"be one of {', '.join(sorted(self._accepted))}. Install a client that fits, or set {DISABLED_BY}=1 on "
                "the server."
            )


def _release_line(version: str) -> str:
    return ".".join(version.split(".")[:2])
