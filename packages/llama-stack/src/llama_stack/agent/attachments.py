"""Images and files of the input, from wherever they are, as the model gets them.

`input_image` becomes a `data:` URL of an image whose format was looked at; `input_file` a `data:` URL, or `input_text`
if it is text. What cannot be had is an `InvalidRequest` with the contract's code.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import mimetypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

from llama_stack.agent.entries import Entry
from llama_stack.config.responses import AttachmentLimits, setting
from llama_stack.net.egress import REPLY_TOO_LARGE, Egress, EgressRefused
from llama_stack_api.errors import InvalidRequest, NotFound, ProviderError
from llama_stack_api.principal import Call, Principal

_PDF: Final = "application/pdf"

Part: TypeAlias = dict[str, Any]
Reference: TypeAlias = tuple[str, str, str]
"""A part's type, the field that says where its content is, and what that field says."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """`content_type` may be empty where it is not known."""

    body: bytes
    filename: str
    content_type: str = ""


class UnknownFile(InvalidRequest):
    """The request names a file that its caller does not have here."""


class FilePort(Protocol):
    async def content(self, principal: Principal, file_id: str) -> FileContent:
        """A file that the principal may read; `NotFound` otherwise."""
        ...


class FetchedAttachments:
    """`agent.ports.Attachments`. Without `files` every file id is unknown."""

    def __init__(self, egress: Egress, files: FilePort | None = None, limits: AttachmentLimits | None = None) -> None:
        self._egress = egress
        self._files = files
        self._limits = limits or AttachmentLimits()

    async def inline(self, entries: Sequence[Entry], call: Call) -> list[Entry]:
        wanted = dict.fromkeys(
            reference for entry in entries for part in _parts(entry) if (reference := _reference(part)) is not None
        )
        if not wanted:
            return list(entries)
        found = dict(zip(wanted, await self.load(list(wanted), call), strict=True))
        return [_with_parts(entry, found) for entry in entries]

    async def load(self, references: Sequence[Reference], call: Call) -> list[Part]:
        """What each holds, in their order: `image_url` for an image; for a file `text` or `file_data`, and `filename`.

        Some are fetched at a time; the first failure stops the rest. `InvalidRequest`, and `UnknownFile` of those.
        """
        if len(references) > self._limits.count_max:
            raise self._beyond("count_max", "The input has too many images and files")
        free = asyncio.Semaphore(self._limits.parallel_max)
        total = 0

        async def one(reference: Reference) -> Part:
            nonlocal total
            async with free:
                kind, field, value = reference
                load = self._image if kind == "input_image" else self._file
                part, size = await load(field, value, call)
                total += size
                if total > self._limits.total_bytes_max:
                    raise self._beyond("total_bytes_max", "The images and files are too large together", "bytes")
                return part

        tasks = [asyncio.create_task(one(reference)) for reference in references]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _image(self, field: str, value: str, call: Call) -> tuple[Part, int]:
        if field == "file_id":
            body = (await self._stored(value, call, code="image_file_not_found")).body
        elif value[:5].lower() == "data:":
            body = _image_data(value)
        else:
            body = await self._downloaded_image(value, call)
        if not body:
            raise _invalid("empty_image_file", "An image of the input is empty.")
        if len(body) > self._limits.image_bytes_max:
            raise self._image_too_large()
        content_type = _image_type(body)
        if content_type is None:
            raise _invalid(
                "unsupported_image_media_type", "An image of the input is not a PNG, JPEG, GIF or WebP image."
            )
        if value.startswith(f"data:{content_type};base64,"):
            return {"image_url": value}, len(body)
        return {"image_url": _data_url(content_type, body)}, len(body)

    async def _downloaded_image(self, url: str, call: Call) -> bytes:
        if url.partition(":")[0].lower() not in ("http", "https"):
            raise _invalid("invalid_image_url", "An image_url of the input is neither an http(s) nor a data URL.")
        try:
            fetched = await self._egress.fetch(url, bytes_max=self._limits.image_bytes_max, deadline=call.deadline)
        except EgressRefused as error:
            raise _invalid("invalid_image_url", f"An image of the input cannot be fetched: {error.message}") from None
        except ProviderError as error:
            if error.code == REPLY_TOO_LARGE:
                raise self._image_too_large() from None
            message = f"An image of the input could not be downloaded: {error.message}"
            raise _invalid("failed_to_download_image", message) from None
        return fetched.body

    async def _file(self, field: str, value: str, call: Call) -> tuple[Part, int]:
        if field == "file_id":
            content = await self._stored(value, call, code="invalid_prompt")
        elif field == "file_data":
            content = _file_data(value)
        else:
            content = await self._downloaded_file(value, call)
        if len(content.body) > self._limits.file_bytes_max:
            raise self._beyond("file_bytes_max", "A file of the input is too large", "bytes")
        return _file_part(content), len(content.body)

    async def _downloaded_file(self, url: str, call: Call) -> FileContent:
        try:
            fetched = await self._egress.fetch(url, bytes_max=self._limits.file_bytes_max, deadline=call.deadline)
        except (EgressRefused, ProviderError) as error:
            raise _invalid("invalid_prompt", f"A file of the input cannot be fetched: {error.message}") from None
        return FileContent(fetched.body, PurePosixPath(urlsplit(fetched.url).path).name, fetched.content_type)

    async def _stored(self, file_id: str, call: Call, *, code: str) -> FileContent:
        if self._files is not None:
            try:
                return await self._files.content(call.principal, file_id)
            except NotFound:
                pass
        raise UnknownFile(f"The input names the file '{file_id}', which does not exist.", code=code, param="input")

    def _image_too_large(self) -> InvalidRequest:
        return self._beyond("image_bytes_max", "An image of the input is too large", "bytes", code="image_too_large")

    def _beyond(self, name: str, what: str, unit: str = "", *, code: str = "invalid_prompt") -> InvalidRequest:
        limit = f"{getattr(self._limits, name)} {unit}".rstrip()
        return _invalid(code, f"{what}: the limit is {limit}; {setting(f'attachments.{name}')} raises it.")


def _parts(entry: Entry) -> Iterator[Part]:
    for field in ("content", "output"):
        value = entry.item.get(field)
        if isinstance(value, list):
            yield from (part for part in value if isinstance(part, dict))


def _reference(part: Part) -> Reference | None:
    kind = part.get("type")
    if kind == "input_image":
        fields: tuple[str, ...] = ("file_id", "image_url")
    elif kind == "input_file":
        fields = ("file_id", "file_url", "file_data")
    else:
        return None
    for field in fields:
        value = part.get(field)
        if isinstance(value, str) and value:
            return kind, field, value
    return None


def _with_parts(entry: Entry, found: dict[Reference, Part]) -> Entry:
    changed = {}
    for field in ("content", "output"):
        value = entry.item.get(field)
        if isinstance(value, list) and any(isinstance(part, dict) and _reference(part) for part in value):
            changed[field] = [_replaced(part, found) if isinstance(part, dict) else part for part in value]
    return msgspec.structs.replace(entry, item={**entry.item, **changed}) if changed else entry


def _replaced(part: Part, found: dict[Reference, Part]) -> Part:
    reference = _reference(part)
    if reference is None:
        return part
    new = found[reference]
    name = part.get("filename") or new.get("filename") or "file"
    if "text" in new:
        return {"type": "input_text", "text": f"Contents of the file {name}:\n\n{new['text']}"}
    kept = {key: value for key, value in part.items() if key not in ("file_id", "file_url")}
    return {**kept, **new, "filename": name} if part["type"] == "input_file" else {**kept, **new}


def _image_data(url: str) -> bytes:
    header, comma, data = url.partition(",")
    if not comma or not header.lower().endswith(";base64"):
        raise _invalid("invalid_image_url", "A data URL of an image must be base64: data:image/png;base64,…")
    return _decoded(data, "invalid_base64_image", "The data URL of an image is not valid base64.")


def _image_type(body: bytes) -> str | None:
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if body.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if body.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    return None


def _file_data(data: str) -> FileContent:
    """A data URL, or bare base64."""
    header, comma, rest = data.partition(",")
    if not comma or not header.lower().startswith("data:"):
        return FileContent(_decoded(data, "invalid_prompt", "The file_data of a file is not valid base64."), "")
    content_type, *parameters = header[5:].lower().split(";")
    if "base64" in parameters:
        body = _decoded(rest, "invalid_prompt", "The file_data of a file is not valid base64.")
    else:
        body = unquote_to_bytes(rest)
    return FileContent(body, "", content_type)


def _file_part(content: FileContent) -> Part:
    """Text as text, as few models read it from a file; everything else as data."""
    content_type = content.content_type or mimetypes.guess_type(content.filename)[0] or ""
    if content.body.startswith(b"%PDF-"):
        content_type = _PDF
    elif b"\0" not in content.body:
        try:
            return {"text": content.body.decode("utf-8-sig"), "filename": content.filename}
        except UnicodeDecodeError:
            pass
    data = _data_url(content_type or "application/octet-stream", content.body)
    return {"file_data": data, "filename": content.filename}


def _decoded(data: str, code: str, message: str) -> bytes:
    try:
        return base64.b64decode(data.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise _invalid(code, message) from None


def _data_url(content_type: str, body: bytes) -> str:
    return f"data:{content_type};base64,{base64.b64encode(body).decode()}"


def _invalid(code: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, code=code, param="input")
