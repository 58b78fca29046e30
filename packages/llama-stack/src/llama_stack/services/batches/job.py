"""What a run that carries out a batch is asked to do."""

from __future__ import annotations

from typing import Final

import msgspec

KIND: Final = "batch"
"""The kind of runs."""
WINDOW_S: Final = 24 * 3600.0
"""How long a batch may take."""


class Job(msgspec.Struct, omit_defaults=True):
    """The batch's id; the attributes of whoever made it, whose rights it has; and the request that made it."""

    batch: str
    attributes: dict[str, list[str]] = {}
    request_id: str = ""
