"""Text that is read as it is: Markdown, source code, CSV, XML, YAML, …"""

from __future__ import annotations

from llama_stack.providers._shared.parsing.draft import Draft
from llama_stack.providers._shared.parsing.source import Source
from llama_stack.providers._shared.parsing.wire import Answer


def read(source: Source, media_type: str) -> tuple[Answer, str]:
    draft = Draft(source.limits)
    draft.add(source.text())
    return draft.finish(media_type, "text")
