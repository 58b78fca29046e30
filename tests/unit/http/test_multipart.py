"""Forms as they come: whatever the pieces are, the parts are the same; what is no form is refused with a reason."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.http.multipart import FormLimits, FormReader, nested
from llama_stack_api.errors import InvalidRequest, UnsupportedMedia

pytestmark = pytest.mark.anyio

BOUNDARY = "frontier"
HEADERS = {b"content-type": b"multipart/form-data; boundary=frontier"}
Seen = tuple[str, str | None, str, bytes]

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters='"\\%\r\n\0'), min_size=1, max_size=20)
CONTENTS = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from([b"\r\n--frontier", b"\r\n", b"--", b"\r", b"\r\n--front", b"x", b"-"])).map(b"".join),
)


def form(*parts: tuple[str, str | None, bytes]) -> bytes:
    body = b""
    for name, filename, content in parts:
        shown = "" if filename is None else f'; filename="{filename}"'
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{shown}\r\n\r\n'.encode()
        body += content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


async def pieces_of(body: bytes, cuts: Sequence[int]) -> AsyncIterator[bytes]:
    at = 0
    for cut in sorted({cut % (len(body) + 1) for cut in cuts} | {len(body)}):
        if cut > at:
            yield body[at:cut]
        at = cut


async def read(
    body: bytes, cuts: Sequence[int] = (), headers: dict[bytes, bytes] = HEADERS, limits: FormLimits | None = None
) -> list[Seen]:
    seen = []
    async for part in FormReader(headers, pieces_of(body, cuts), limits).parts():
        content = b"".join([piece async for piece in part.pieces()])
        seen.append((part.name, part.filename, part.content_type, content))
    return seen


async def texts(body: bytes, limits: FormLimits | None = None) -> list[str]:
    return [await part.text() async for part in FormReader(HEADERS, pieces_of(body, ()), limits).parts()]


@given(
    st.lists(st.tuples(TEXTS, st.none() | TEXTS, CONTENTS.filter(lambda it: b"\r\n--frontier" not in b"\r\n" + it))),
    st.lists(st.integers(min_value=0, max_value=10_000), max_size=60),
)
async def test_any_pieces_give_the_same_parts(parts: list[tuple[str, str | None, bytes]], cuts: list[int]) -> None:
    seen = await read(form(*parts), cuts)
    assert [(name, filename, content) for name, filename, _, content in seen] == parts


@given(st.integers(min_value=1, max_value=500), st.lists(st.integers(min_value=0, max_value=500), max_size=5))
async def test_a_form_that_breaks_off_is_refused(kept: int, cuts: list[int]) -> None:
    whole = form(("purpose", None, b"assistants"), ("file", "a.txt", b"content" * 20))
    kept = min(kept, len(whole) - len("--\r\n") - 1)
    with pytest.raises(InvalidRequest) as refused:
        await read(whole[:kept], cuts)
    assert refused.value.code == "invalid_multipart"


async def test_where_a_form_broke_off_is_said() -> None:
    whole = form(("purpose", None, b"assistants"), ("file", "a.txt", b"content" * 20))
    with pytest.raises(InvalidRequest) as refused:
        await read(whole[:-60])
    assert refused.value.param == "file"
    assert "ends in the middle of 'file'" in refused.value.message


@pytest.mark.parametrize("filename", ["plain.txt", 'quo"te.txt', "naïve 🦙.txt", "../../etc/passwd", "a\r\nb.txt"])
async def test_names_as_httpx_writes_them(filename: str) -> None:
    request = httpx.Request(
        "POST", "http://x/", data={"purpose": "assistants"}, files={"file": (filename, b"1", "text/plain")}
    )
    headers = {b"content-type": request.headers["content-type"].encode()}
    assert await read(request.read(), headers=headers) == [
        ("purpose", None, "", b"assistants"),
        ("file", filename, "text/plain", b"1"),
    ]


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('form-data; name="file"; filename="a\\"b.txt"', 'a"b.txt'),  # curl
        ('form-data; name="file"; filename="C:\\\\x\\\\y.txt"', "C:\\x\\y.txt"),
        ("form-data; name=file; filename=bare.txt", "bare.txt"),
        ("form-data; name=\"file\"; filename*=UTF-8''na%C3%AFve.txt", "naïve.txt"),
        ('form-data; name="file"; filename=""', ""),
        ('form-data; filename="a;b.txt"; name="file"', "a;b.txt"),
        ('form-data; name="file"; filename="100%.txt"', "100%.txt"),
    ],
)
async def test_names_as_others_write_them(disposition: str, filename: str) -> None:
    body = f"--frontier\r\ncontent-disposition: {disposition}\r\n\r\nx\r\n--frontier--".encode()
    assert await read(body) == [("file", filename, "", b"x")]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "its end is missing"),
        (b"not a form at all", "boundary"),
        (b"--frontier\r\nx-other: y\r\n\r\nx\r\n--frontier--", "has no name"),
        (b'--frontier\r\ncontent-disposition: attachment; name="a"\r\n\r\nx\r\n--frontier--', "has no name"),
        (b"--frontier\r\nbad header\r\n\r\nx\r\n--frontier--", "invalid character"),
        (b"--frontier\r\na: " + b"x" * 9000 + b"\r\n\r\nx\r\n--frontier--", "header size"),
        (b"--frontier\r\n" + b"a: b\r\n" * 20 + b"\r\nx\r\n--frontier--", "header count"),
    ],
)
async def test_what_is_no_form_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await read(body)
    assert refused.value.code == "invalid_multipart"
    assert why.lower() in refused.value.message.lower()


@pytest.mark.parametrize(
    "content_type", [b"", b"application/json", b"multipart/mixed; boundary=x", b"text/plain; boundary=frontier"]
)
async def test_other_types_are_refused(content_type: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        await read(form(), headers={b"content-type": content_type})


@pytest.mark.parametrize("parameters", [b"", b"; boundary=", b"; boundary=" + b"x" * 300])
async def test_a_form_needs_a_boundary(parameters: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"boundary|Boundary"):
        await read(form(), headers={b"content-type": b"multipart/form-data" + parameters})


async def test_the_number_of_parts_and_the_size_of_fields_are_limited() -> None:
    with pytest.raises(InvalidRequest, match="more than 3 parts"):
        await read(form(*[("a", None, b"1")] * 4), limits=FormLimits(parts_max=3))
    with pytest.raises(InvalidRequest, match="more than 10 bytes") as refused:
        await texts(form(("purpose", None, b"x" * 11)), FormLimits(field_bytes_max=10))
    assert refused.value.param == "purpose"


async def test_a_part_that_nobody_reads_is_passed_over() -> None:
    body = form(("junk", "x", b"y" * 1000), ("purpose", None, b"vision"))
    names = [part.name async for part in FormReader(HEADERS, pieces_of(body, range(0, 1200, 7))).parts()]
    assert names == ["junk", "purpose"]


async def test_a_field_must_be_text() -> None:
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        await texts(form(("purpose", None, b"\xff")))


def test_nested_fields() -> None:
    given_ = {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600", "x[": "y"}
    assert nested(given_) == {
        "purpose": "batch",
        "expires_after": {"anchor": "created_at", "seconds": "3600"},
        "x[": "y",
    }
    with pytest.raises(InvalidRequest, match="twice"):
        nested({"a": "1", "a[b]": "2"})
    with pytest.raises(InvalidRequest, match="twice"):
        nested({"a[b]": "2", "a": "1"})
