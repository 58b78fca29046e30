"""What a client may call a file, and what is made of it."""

from __future__ import annotations

import mimetypes
import re

from llama_stack.config.files import FilesConfig, setting
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.files import OpenAIFilePurpose

UNKNOWN_TYPE = "application/octet-stream"
PURPOSES = frozenset(
    {
        OpenAIFilePurpose.ASSISTANTS,
        OpenAIFilePurpose.BATCH,
        OpenAIFilePurpose.EVALS,
        OpenAIFilePurpose.FINE_TUNE,
        OpenAIFilePurpose.USER_DATA,
        OpenAIFilePurpose.VISION,
    }
)
"""Of what clients upload; the others are of files that the server makes."""

_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")
_MORE_TYPES = {".jsonl": "application/jsonl", ".md": "text/markdown", ".yaml": "application/yaml"}


def checked_name(filename: str, limits: FilesConfig, *, param: str) -> str:
    """Any text: it is shown, and never is a path."""
    if not filename:
        raise InvalidRequest("A file needs a name.", param=param, code="invalid_value")
    if len(filename) > limits.filename_chars_max:
        raise InvalidRequest(
            f"The file's name has {len(filename)} characters; {setting('filename_chars_max')} allows "
            f"{limits.filename_chars_max}.",
            param=param,
            code="invalid_value",
        )
    if "\0" in filename or any("\ud800" <= char <= "\udfff" for char in filename):
        raise InvalidRequest(
            "The file's name holds a character that cannot be stored (NUL or a lone surrogate).",
            param=param,
            code="invalid_value",
        )
    return filename


def checked_purpose(purpose: OpenAIFilePurpose) -> OpenAIFilePurpose:
    if purpose not in PURPOSES:
        raise InvalidRequest(
            f"Files of the purpose '{purpose}' are made by the server; upload with one of "
            f"{', '.join(sorted(PURPOSES))}.",
            param="purpose",
            code="invalid_value",
        )
    return purpose


def media_type(said: str, filename: str) -> str:
    """Without parameters: as the client said, or, where it said nothing of use, by the name."""
    plain = said.partition(";")[0].strip().lower()
    if plain != UNKNOWN_TYPE and _MEDIA_TYPE.fullmatch(plain):
        return plain
    name = filename.lower()
    more = next((kind for ending, kind in _MORE_TYPES.items() if name.endswith(ending)), None)
    return more or mimetypes.guess_type(name.rpartition("/")[2])[0] or UNKNOWN_TYPE
