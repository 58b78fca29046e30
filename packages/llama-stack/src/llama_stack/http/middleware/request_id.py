"""The id by which a client's report and our log are found together: `x-request-id`, in and out."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

HEADER = b"x-request-id"
_ACCEPTED = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}").fullmatch


def request_id(headers: Mapping[bytes, bytes]) -> bytes:
    """The client's own id, unless it could not stand in a log line or a header as it is; else a new one."""
    given = headers.get(HEADER)
    if given is not None and _ACCEPTED(given):
        return given
    # An id, not a secret: it need not cost a system call.
    return b"req_%032x" % random.getrandbits(128)
