"""E-mail: the headers that people read, the body, and the names of what is attached."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from typing import Final

from llama_stack.providers._shared.parsing.draft import Draft, Refused
from llama_stack.providers._shared.parsing.encoding import decoded
from llama_stack.providers._shared.parsing.formats.html import text_of
from llama_stack.providers._shared.parsing.kinds import EMAIL
from llama_stack.providers._shared.parsing.source import Source
from llama_stack.providers._shared.parsing.wire import Answer

_HEADERS: Final = ("From", "To", "Cc", "Date", "Subject")
PARTS_MAX: Final = 1000
_BROKEN: Final = (ValueError, KeyError, IndexError, AttributeError, TypeError, LookupError, RecursionError)
"""What the standard library raises on headers and parts that break the rules."""


def read(source: Source) -> tuple[Answer, str]:
    try:
        message = email.message_from_bytes(source.read(), policy=email.policy.default)
        draft = Draft(source.limits)
        headers = {name: text for name in _HEADERS if (text := _header(message, name))}
        draft.add("\n".join(f"{name}: {text}" for name, text in headers.items()))
        if source.extract_metadata:
            for name, text in headers.items():
                draft.note(name.lower(), text)
        draft.add(_body(message))
        attached = _attached(message)
        if attached:
            draft.add("Attachments: " + ", ".join(attached))
    except _BROKEN:
        raise Refused("It is broken: it cannot be read as an e-mail.") from None
    return draft.finish(EMAIL, "email")


def _header(message: EmailMessage, name: str) -> str:
    return " ".join(str(message.get(name, "")).split())


def _body(message: EmailMessage) -> str:
    body = message.get_body(preferencelist=("plain", "html"))
    if body is None:
        return ""
    payload = body.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    charset = f"charset={body.get_content_charset() or ''}"
    if body.get_content_subtype() == "html":
        return text_of(decoded(data, charset, markup=True))
    return decoded(data, charset).strip()


def _attached(message: EmailMessage) -> list[str]:
    names: list[str] = []
    for count, part in enumerate(message.walk()):
        if count >= PARTS_MAX:
            break
        name = part.get_filename()
        if name and (part.is_attachment() or part.get_content_disposition() == "inline"):
            names.append(" ".join(str(name).split()))
    return names
