"""Contents in a bucket of Amazon S3 or of anything else that speaks its protocol."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, ParamSpec, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from llama_stack.providers._shared.addresses import checked_address
from llama_stack.providers._shared.health import health_of
from llama_stack.providers._shared.multipart_body import checked_content_type
from llama_stack.providers._shared.pieces import pieces_ahead
from llama_stack.providers._shared.s3_errors import code_of, error_of, status_of
from llama_stack.providers._shared.s3_objects import ObjectReader, ObjectWriter
from llama_stack.providers._shared.threads import Threads
from llama_stack_api.api import Api
from llama_stack_api.errors import (
    LlamaStackError,
    NotFound,
    PayloadTooLarge,
    ProviderError,
    ProviderStreamBroken,
)
from llama_stack_api.ports.files import KeptContent, NewContent
from llama_stack_api.principal import Call
from llama_stack_api.provider import HealthResponse, ProviderContext, provider

P = ParamSpec("P")
R = TypeVar("R")

PART_BYTES = 8 * 1024 * 1024
PARTS_MAX = 10_000
THREADS_MAX = 16
_KEY = re.compile(r"([0-9a-f]{32}/[A-Za-z0-9_-]{1,128})\.([0-9a-f]{64})")


class S3Config(BaseModel):
    # A key that is all digits reaches us as a number when it comes from the environment.
    model_config = ConfigDict(extra="allow", defer_build=True, coerce_numbers_to_str=True)

    bucket_name: str = Field(min_length=3, max_length=255)
    region: str = "us-east-1"
    aws_access_key_id: SecretStr | None = None
    """Without the two keys the credentials are those of the machine: AWS's variables, files or role."""
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    endpoint_url: str | None = None
    """The address of another service than Amazon's: MinIO, Ceph, R2, …"""
    auto_create_bucket: bool = False
    """Make the bucket at the first use if it is missing."""
    key_prefix: str = Field(default="", max_length=256, pattern=r"^[A-Za-z0-9!_.*'()/-]*$")
    """Put before the name of every object, so that several servers can share one bucket."""
    connect_timeout_s: float = Field(default=10.0, gt=0)
    read_timeout_s: float = Field(default=60.0, gt=0)
    """The wait for each answer and each piece of it, not for the whole."""
    attempts_max: int = Field(default=3, ge=1, le=10)
    """How often a request is sent that fails for a reason that may pass."""
    metadata_store: Any = None
    """No effect, kept for compatibility: what is known of a file is in the server's SQL store."""

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, data: Any) -> Any:
        return {k: v for k, v in data.items() if v not in (None, "")} if isinstance(data, dict) else data

    @field_validator("endpoint_url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        return None if url is None else checked_address(url)

    @model_validator(mode="after")
    def _key_has_secret(self) -> S3Config:
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("aws_access_key_id and aws_secret_access_key go together: set both or neither")
        return self


@provider(
    api=Api.files,
    type="remote::s3",
    description="Files in a bucket of Amazon S3 or of a compatible service, sent and read as streams.",
    config=S3Config,
    sample={
        "bucket_name": "${env.S3_BUCKET_NAME:=}",
        "region": "${env.AWS_REGION:=us-east-1}",
        "aws_access_key_id": "${env.AWS_ACCESS_KEY_ID:=}",
        "aws_secret_access_key": "${env.AWS_SECRET_ACCESS_KEY:=}",
        "aws_session_token": "${env.AWS_SESSION_TOKEN:=}",
        "endpoint_url": "${env.S3_ENDPOINT_URL:=}",
        "auto_create_bucket": "${env.S3_AUTO_CREATE_BUCKET:=false}",
    },
    turned_on_by="S3_BUCKET_NAME",
    pip_packages=("boto3>=1.40,<2",),
)
class S3:
    def __init__(self, config: S3Config, context: ProviderContext) -> None:
        self._config = config
        self._name = context.provider_id
        self._threads = Threads(f"files-{context.provider_id}", threads_max=THREADS_MAX)
        self._opening = threading.Lock()
        self._opened: Any = None

    async def open(self) -> None:
        # Importing it takes longer than all else at a start, so that is left to the first use.
        if importlib.util.find_spec("boto3") is None:
            raise ProviderError("needs the package boto3: install llama-stack[s3]")
        self._threads.open()

    async def close(self) -> None:
        await self._threads.close()
        if self._opened is not None:
            self._opened.close()

    async def health(self) -> HealthResponse:
        return await health_of(self._translated(self._threads.run_detached(self._find_bucket)))

    async def write_content(self, content: NewContent, body: AsyncIterator[bytes], call: Call) -> KeptContent:
        name = _name(content.tenant, content.id)
        writer = ObjectWriter(
            self._client,
            self._config.bucket_name,
            self._config.key_prefix + name,
            checked_content_type(content.content_type),
        )
        kept = False
        try:
            async with aclosing(pieces_ahead(body, PART_BYTES)) as pieces:
                async for piece in pieces:
                    if writer.parts == PARTS_MAX:
                        raise PayloadTooLarge(f"Provider '{self._name}' keeps files of {PART_BYTES * PARTS_MAX} bytes.")
                    await self._tried(writer.write, piece)
            await self._tried(writer.finish)
            kept = True
        finally:
            if not kept:
                with suppress(LlamaStackError):  # what broke off is what the caller has to know
                    await self._tried(writer.abort)
        return KeptContent(key=f"{name}.{writer.sha256}", size=writer.size, sha256=writer.sha256)

    async def read_content(
        self, key: str, call: Call, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        match = _KEY.fullmatch(key)
        if match is None:
            raise NotFound(f"Provider '{self._name}' does not have the content of this file.")
        if end is not None and start >= end:
            return
        whole = start == 0 and end is None
        digest = hashlib.sha256()
        reader = ObjectReader(self._client, self._config.bucket_name, self._config.key_prefix + match[1])
        try:
            await self._tried(reader.open, start, end)
            while data := await self._tried(reader.read):
                if whole:
                    digest.update(data)
                yield data
        finally:
            await self._threads.run(reader.close)
        if whole and digest.hexdigest() != match[2]:
            raise ProviderStreamBroken(
                f"Provider '{self._name}' has other bytes than it was given: the file is damaged."
            )

    async def delete_content(self, key: str, call: Call) -> None:
        match = _KEY.fullmatch(key)
        if match is not None:
            await self._tried(self._delete, self._config.key_prefix + match[1])

    async def discard_content(self, tenant: str, content_id: str, call: Call) -> None:
        await self._tried(self._discard, self._config.key_prefix + _name(tenant, content_id))

    def _delete(self, name: str) -> None:
        self._client().delete_object(Bucket=self._config.bucket_name, Key=name)

    def _discard(self, name: str) -> None:
        client, bucket = self._client(), self._config.bucket_name
        for upload in client.list_multipart_uploads(Bucket=bucket, Prefix=name).get("Uploads", ()):
            if upload["Key"] == name:
                client.abort_multipart_upload(Bucket=bucket, Key=name, UploadId=upload["UploadId"])
        self._delete(name)

    async def _tried(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._translated(self._threads.run(function, *args, **kwargs))

    async def _translated(self, work: Awaitable[R]) -> R:
        """Its result, or what boto3 raised as an error of ours."""
        try:
            return await work
        except (LlamaStackError, TimeoutError):
            raise
        except Exception as error:
            from botocore.exceptions import BotoCoreError, ClientError

            if isinstance(error, BotoCoreError | ClientError):
                raise error_of(error, self._name, self._config.bucket_name) from None
            raise

    def _find_bucket(self) -> None:
        self._client().head_bucket(Bucket=self._config.bucket_name)

    def _client(self) -> Any:
        """boto3's client, made once; it may be used by several threads."""
        with self._opening:
            if self._opened is None:
                client = self._connected()
                if self._config.auto_create_bucket:
                    self._create_bucket(client)
                self._opened = client
            return self._opened

    def _connected(self) -> Any:
        from boto3.session import Session
        from botocore.config import Config

        config = self._config
        session = Session(
            aws_access_key_id=_revealed(config.aws_access_key_id),
            aws_secret_access_key=_revealed(config.aws_secret_access_key),
            aws_session_token=_revealed(config.aws_session_token) if config.aws_access_key_id else None,
            region_name=config.region,
        )
        settings = Config(
            signature_version="s3v4",
            connect_timeout=config.connect_timeout_s,
            read_timeout=config.read_timeout_s,
            retries={"total_max_attempts": config.attempts_max, "mode": "standard"},
            max_pool_connections=THREADS_MAX,
            user_agent_extra="llama-stack",
            # Other services know neither buckets as host names nor the checksums of Amazon's later years.
            s3={"addressing_style": "path" if config.endpoint_url else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            return session.client("s3", endpoint_url=config.endpoint_url, config=settings)
        except ValueError:
            raise ProviderError(f"Provider '{self._name}': endpoint_url or region is not valid.") from None

    def _create_bucket(self, client: Any) -> None:
        from botocore.exceptions import ClientError

        bucket, region = self._config.bucket_name, self._config.region
        try:
            client.head_bucket(Bucket=bucket)
            return
        except ClientError as error:
            if status_of(error) != 404:
                raise
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            client.create_bucket(Bucket=bucket, **where)
        except ClientError as error:
            if code_of(error) != "BucketAlreadyOwnedByYou":  # another process was quicker
                raise


def _name(tenant: str, content_id: str) -> str:
    """An object's name. Of the tenant there is a digest in it: a name may be longer, and anything."""
    return f"{hashlib.sha256(tenant.encode()).hexdigest()[:32]}/{content_id}"


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
