"""JSON and JSONL, set out so that a person, or a model, can read it. Members keep their order, text its letters."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from llama_stack.providers._shared.parsing.draft import Draft, normalized
from llama_stack.providers._shared.parsing.kinds import JSONL
from llama_stack.providers._shared.parsing.source import Source
from llama_stack.providers._shared.parsing.wire import Answer

_UNREADABLE = (ValueError, RecursionError)


def read(source: Source, media_type: str) -> tuple[Answer, str]:
    """What is not JSON in truth is read as plain text."""
    text = source.text()
    draft = Draft(source.limits)
    if media_type == JSONL:
        draft.add("\n".join(_line(line) for line in normalized(text).split("\n")))
        return draft.finish(media_type, "json")
    try:
        draft.add(json.dumps(_loaded(text), ensure_ascii=False, indent=2))
    except _UNREADABLE:
        draft.add(text)
        return draft.finish(media_type, "text")
    return draft.finish(media_type, "json")


def _line(line: str) -> str:
    try:
        return json.dumps(_loaded(line), ensure_ascii=False) if line.strip() else ""
    except _UNREADABLE:
        return line


def _loaded(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
