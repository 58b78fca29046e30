"""Objects of a bucket, written and read piece by piece through boto3. All of it blocking."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from llama_stack.providers._shared.s3_errors import status_of
from llama_stack_api.errors import ProviderError

READ_BYTES = 1024 * 1024


class ObjectWriter:
    """One object on its way, part by part. One piece is held back: what fits into one goes in a single request."""

    def __init__(self, client: Callable[[], Any], bucket: str, name: str, content_type: str) -> None:
        self._client = client
        self._object = {"Bucket": bucket, "Key": name}
        self._content_type = content_type
        self._held: bytes | None = None
        self._upload = ""
        self._etags: list[str] = []
        self._digest = hashlib.sha256()
        self._finishing = False
        self.parts = 0
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, piece: bytes) -> None:
        self._digest.update(piece)
        self.size += len(piece)
        self.parts += 1
        held, self._held = self._held, piece
        if held is not None:
            self._send(held)

    def finish(self) -> None:
        held, self._held = self._held or b"", None
        if not self._upload:
            self._finishing = True
            self._client().put_object(**self._object, Body=held, ContentType=self._content_type, ContentMD5=_md5(held))
            return
        self._send(held)
        self._finishing = True
        self._complete()

    def abort(self) -> None:
        if self._finishing:
            self._client().delete_object(**self._object)
        if self._upload:
            with suppress(self._client().exceptions.NoSuchUpload):
                self._client().abort_multipart_upload(**self._object, UploadId=self._upload)

    def _complete(self) -> None:
        from botocore.exceptions import ClientError, HTTPClientError

        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(self._etags, start=1)]
        try:
            self._client().complete_multipart_upload(
                **self._object, UploadId=self._upload, MultipartUpload={"Parts": parts}
            )
        except (ClientError, HTTPClientError):
            # Putting many parts together can outlast the wait for it, and is refused when it is asked for again.
            if not self._is_there():
                raise

    def _is_there(self) -> bool:
        """Nobody else writes under this name, so a whole object there is this one."""
        client = self._client()
        try:
            return bool(client.head_object(**self._object)["ContentLength"] == self.size)
        except client.exceptions.ClientError:
            return False

    def _send(self, piece: bytes) -> None:
        client = self._client()
        if not self._upload:
            self._upload = client.create_multipart_upload(**self._object, ContentType=self._content_type)["UploadId"]
        number = len(self._etags) + 1
        reply = client.upload_part(
            **self._object, UploadId=self._upload, PartNumber=number, Body=piece, ContentMD5=_md5(piece)
        )
        self._etags.append(reply["ETag"])


class ObjectReader:
    """One object being read, or a range of it."""

    def __init__(self, client: Callable[[], Any], bucket: str, name: str) -> None:
        self._client = client
        self._object = {"Bucket": bucket, "Key": name}
        self._body: Any = None

    def open(self, start: int, end: int | None) -> None:
        whole = start == 0 and end is None
        wanted = {} if whole else {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        client = self._client()
        try:
            reply = client.get_object(**self._object, **wanted)
        except client.exceptions.ClientError as error:
            if status_of(error) != 416:  # a start beyond the end
                raise
            return
        self._body = reply["Body"]
        if wanted and not str(reply.get("ContentRange", "")).startswith(f"bytes {start}-"):
            raise ProviderError("The files provider's endpoint does not know ranges (RFC 9110, section 14).")

    def read(self) -> bytes:
        return b"" if self._body is None else bytes(self._body.read(READ_BYTES))

    def close(self) -> None:
        if self._body is not None:
            self._body.close()


def _md5(data: bytes) -> str:
    """By which the service checks what arrived; every one that speaks the protocol does."""
    return b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
