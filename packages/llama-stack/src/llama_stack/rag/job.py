"""What a run that ingests a file is asked to do."""

from __future__ import annotations

from typing import Final

import msgspec

KIND: Final = "vector_store_file"
"""The kind of the runs that ingest one file into one vector store."""


class Job(msgspec.Struct, omit_defaults=True):
    """The payload of a run: an attachment, and what else its request said.

    `left_over`: the server that took the request did not begin the run, so nothing of its credentials is there.
    """

    store: str
    file: str
    attachment: str
    attributes: dict[str, list[str]] = {}
    request_id: str = ""
    left_over: bool = False
