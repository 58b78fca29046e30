"""Contents at OpenAI's own `/v1/files`, for those whose files its models or batches shall read there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

from llama_stack.dialects.openai.errors import UNREADABLE, error_of_reply
from llama_stack.net.config import NetworkConfig
from llama_stack.providers._shared.addresses import checked_address
from llama_stack.providers._shared.health import health_of, unwell
from llama_stack.providers._shared.measured import Measured
from llama_stack.providers._shared.multipart_body import MultipartBody
from llama_stack_api.api import Api
from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    ModelNotFound,
    NotFound,
    ProviderError,
    ProviderRejectedCredentials,
)
from llama_stack_api.ports.files import KeptContent, NewContent
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.principal import SYSTEM_CALL, Call
from llama_stack_api.provider import HealthResponse, ProviderContext, provider

ERROR_BODY_BYTES_MAX = 64 * 1024
CLEANUP_TIMEOUT_S = 10.0
KEY_IN_DATA = "openai_api_key"
_FILE_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")
_RANGE = re.compile(r"bytes (\d+)-")


class OpenAIFilesConfig(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True, coerce_numbers_to_str=True)

    base_url: str = "https://api.openai.com/v1"
    """The address to which `/files` is appended."""
    api_key: SecretStr | None = None
    """Used where a request brings no `openai_api_key` of its own, and for what the server removes by itself. A file
    can be read with keys of the project alone that it was uploaded with."""
    network: NetworkConfig | None = None
    metadata_store: Any = None
    """No effect, kept for compatibility: what is known of a file is in the server's SQL store."""

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        return checked_address(url).rstrip("/")

    @field_validator("api_key", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return value or None


@provider(
    api=Api.files,
    type="remote::openai",
    description="Files at OpenAI, under the ids and limits that it gives them. What OpenAI does not let anybody "
    "download (files of the purpose assistants, for one) this server cannot read either, so it goes into no vector "
    "store here.",
    config=OpenAIFilesConfig,
    sample={
        "base_url": "${env.OPENAI_BASE_URL:=https://api.openai.com/v1}",
        "api_key": "${env.OPENAI_FILES_API_KEY:=}",
    },
    # Not OPENAI_API_KEY: whoever uses OpenAI's models has not said yet that all files shall go there.
    turned_on_by="OPENAI_FILES_API_KEY",
    data_keys={KEY_IN_DATA: "api_key"},
)
class OpenAIFiles:
    def __init__(self, config: OpenAIFilesConfig, context: ProviderContext) -> None:
        self._config = config
        self._name = context.provider_id
        self._http = context.http(config.network)
        self._url = f"{config.base_url}/files"

    async def health(self) -> HealthResponse:
        if self._config.api_key is None:
            return unwell("no api_key is configured; requests must bring their own")
        return await health_of(self._answer())

    async def _answer(self) -> None:
        await (await self._send("GET", f"{self._url}?limit=1", SYSTEM_CALL)).read()

    async def write_content(self, content: NewContent, body: AsyncIterator[bytes], call: Call) -> KeptContent:
        measured = Measured(body)
        form = MultipartBody(
            {"purpose": content.purpose},
            name="file",
            filename=content.filename,
            content_type=content.content_type,
            file=measured,
            size=content.size,
        )
        reply = await self._send("POST", self._url, call, headers=form.headers, body=aiter(form))
        file_id, size = self._uploaded(await reply.read())
        if size != measured.size:
            async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                await self.delete_content(file_id, call)
            raise ProviderError(f"Provider '{self._name}' took {size} of the file's {measured.size} bytes.")
        return KeptContent(key=file_id, size=measured.size, sha256=measured.sha256)

    async def read_content(
        self, key: str, call: Call, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        if end is not None and start >= end:
            return
        whole = start == 0 and end is None
        headers = {} if whole else {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        headers["Accept-Encoding"] = "identity"
        reply = await self._send("GET", f"{self._url_of(key)}/content", call, headers=headers)
        try:
            if reply.status == 416:  # the start is beyond the end
                return
            async for data in _cut(reply.chunks(), start - _first_byte(reply), end and end - _first_byte(reply)):
                yield data
        finally:
            await reply.aclose()

    async def delete_content(self, key: str, call: Call) -> None:
        try:
            reply = await self._send("DELETE", self._url_of(key), call)
        except NotFound:
            return
        await reply.read()

    def _url_of(self, key: str) -> str:
        if _FILE_ID.fullmatch(key) is None:
            raise NotFound(f"Provider '{self._name}' does not have the content of this file.")
        return f"{self._url}/{key}"

    def _uploaded(self, body: bytes) -> tuple[str, int]:
        """The id that OpenAI gave, and the bytes that it counted."""
        try:
            file = msgspec.json.decode(body)
            file_id, size = file["id"], file["bytes"]
        except (*UNREADABLE, TypeError, KeyError):
            file_id, size = None, None
        if not isinstance(file_id, str) or _FILE_ID.fullmatch(file_id) is None or not isinstance(size, int):
            raise ProviderError(f"Provider '{self._name}' answered an upload with something that is not a file.")
        return file_id, size

    async def _send(
        self,
        method: str,
        url: str,
        call: Call,
        *,
        headers: Mapping[str, str] | None = None,
        body: AsyncIterator[bytes] | None = None,
    ) -> HttpReply:
        key = self._key(call)
        sent = {"Authorization": f"Bearer {key}", **(headers or {})}
        reply = await self._http.send(method, url, headers=sent, body=body, deadline=call.deadline)
        if reply.status >= 300 and reply.status != 416:
            raise await self._refusal(reply, key)
        return reply

    def _key(self, call: Call) -> str:
        key = call.provider_data.get(KEY_IN_DATA) or self._config.api_key
        if key is None:
            raise ProviderRejectedCredentials(
                f"Provider '{self._name}' has no api_key. Set it in the run config, or send {KEY_IN_DATA} in "
                "X-LlamaStack-Provider-Data.",
                code="upstream_key_missing",
            )
        value = key.get_secret_value().strip()
        if not value.isprintable():
            raise InvalidRequest(f"A key for provider '{self._name}' contains a line break or control character.")
        return value

    async def _refusal(self, reply: HttpReply, key: str) -> LlamaStackError:
        try:
            body = await reply.read(ERROR_BODY_BYTES_MAX)
        except ProviderError:
            body = b""
        if key:
            body = body.replace(key.encode(), b"***")
        error = error_of_reply(reply.status, reply.headers, body, self._name)
        # All else that is missing upstream is a model.
        return NotFound(error.message) if isinstance(error, ModelNotFound) else error


def _first_byte(reply: HttpReply) -> int:
    """Where the body of a reply begins in the file: at its start, for those who do not know ranges."""
    match = _RANGE.match(reply.headers.get("Content-Range", "")) if reply.status == 206 else None
    return int(match[1]) if match else 0


async def _cut(body: AsyncIterator[bytes], start: int, end: int | None) -> AsyncIterator[bytes]:
    at = 0
    async for data in body:
        part = data[max(0, start - at) : None if end is None else max(0, end - at)]
        at += len(data)
        if part:
            yield part
        if end is not None and at >= end:
            return
