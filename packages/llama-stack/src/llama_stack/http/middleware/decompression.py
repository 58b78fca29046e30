"""Request bodies in gzip, deflate or zstd. What they unpack to is bounded, so that a bomb stays small."""

from __future__ import annotations

import sys
import zlib

from llama_stack_api.errors import MalformedBody, PayloadTooLarge, UnsupportedMedia

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUPPORTED = "gzip, deflate, zstd"
ZSTD_WINDOW_LOG_MAX = 23
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


def decompressed(body: bytes, encoding: bytes, bytes_max: int) -> bytes:
    """`body` as it was before `content-encoding`. Unpacking ends soon after `bytes_max` bytes of it."""
    name = encoding.strip().lower()
    if name in (b"", b"identity"):
        return body
    try:
        if name == b"zstd":
            plain = _unzstd(body, bytes_max)
        elif name in (b"gzip", b"x-gzip", b"deflate"):
            plain = _inflate(body, bytes_max)
        else:
            raise UnsupportedMedia(
                f"The content-encoding {name.decode('latin-1')[:40]!r} is not supported; send {SUPPORTED} or none.",
                code="unsupported_content_encoding",
            )
    except (zlib.error, zstd.ZstdError, EOFError):
        raise MalformedBody(
            f"The body is not valid {name.decode()} data, as its content-encoding says.", code="invalid_compression"
        ) from None
    if len(plain) > bytes_max:
        raise PayloadTooLarge(
            f"The body unpacks to more than {bytes_max} bytes; server.limits.body_bytes_max raises that limit."
        )
    return plain


def _inflate(body: bytes, bytes_max: int) -> bytes:
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    plain = inflater.decompress(body, bytes_max + 1)
    if len(plain) <= bytes_max:
        _check_end(inflater.eof, inflater.unused_data)
    return plain


def _unzstd(body: bytes, bytes_max: int) -> bytes:
    # The window is what a frame makes its reader allocate; 8 MiB is what the format asks every reader to allow.
    frame = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX})
    plain = frame.decompress(body, bytes_max + 1)
    if len(plain) <= bytes_max:
        _check_end(frame.eof, frame.unused_data)
    return plain


def _check_end(ended: bool, rest: bytes) -> None:
    """One gzip member or zstd frame, and whole: a million tiny ones would cost far more time than their size says."""
    if not ended or rest:
        raise EOFError
