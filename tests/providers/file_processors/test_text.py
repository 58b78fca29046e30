"""Text in all its forms and encodings."""

from __future__ import annotations

import codecs
import contextlib
import json
import unicodedata

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from llama_stack.providers._shared.parsing.draft import normalized
from llama_stack.providers._shared.parsing.encoding import decoded, is_binary
from llama_stack_api.errors import InvalidFile, UnsupportedFile
from tests.support import documents
from tests.support.file_processors import Processor, check_promises

pytestmark = pytest.mark.anyio

GERMAN = "Fünf größere Lamas grüßen zwölf Bären. Öffnen Sie das Büro für die müde Krähe.\n" * 4
JAPANESE = "これは日本語の文章です。吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n" * 4
RUSSIAN = "Это обычный русский текст, написанный для проверки кодировки. Лама стоит на холме.\n" * 4


@pytest.mark.parametrize("filename", ["a.md", "a.py", "a.txt", "a.csv", "a.unknown", "Makefile", ""])
async def test_text_is_read_as_it_is(auto: Processor, filename: str) -> None:
    text = "# Title\n\n\tdef f():  \n    return 'ä'\n\n\n"
    assert (await auto.read(text.encode(), filename)).text == text


@pytest.mark.parametrize(
    ("filename", "media_type"),
    [
        ("a.md", "text/markdown"),
        ("a.csv", "text/csv"),
        ("a.PY", "text/x-python"),
        ("a.b.tsv", "text/tab-separated-values"),
    ],
)
async def test_the_name_tells_what_text_it_is(auto: Processor, filename: str, media_type: str) -> None:
    assert (await auto.read(b"a", filename)).media_type == media_type
    assert (await auto.read(b"a", "folder/" + filename)).media_type == media_type


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (GERMAN, "utf-16-le"),
        (GERMAN, "utf-16-be"),
        (GERMAN, "utf-32"),
        (GERMAN, "latin-1"),
        (GERMAN, "cp1252"),
        (JAPANESE, "shift-jis"),
        (JAPANESE, "euc-jp"),
        (JAPANESE, "utf-16"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
    ],
)
async def test_encodings_are_found_out(auto: Processor, text: str, encoding: str) -> None:
    assert (await auto.read(text.encode(encoding), "a.txt")).text == text


async def test_a_declared_encoding_is_believed(auto: Processor) -> None:
    assert (await auto.read("naïve".encode("cp1250", "replace"), "a.txt", "text/plain; charset=cp1250")).text == "na?ve"
    assert (await auto.read("łódź".encode("iso-8859-2"), "a.txt", "text/plain; charset=iso-8859-2")).text == "łódź"


async def test_text_is_normalised(auto: Processor) -> None:
    raw = "Cafe\u0301\r\nnext\rlast\0end"
    assert (await auto.read(raw.encode(), "a.txt")).text == "Café\nnext\nlastend"


async def test_an_empty_file_has_no_text(auto: Processor) -> None:
    parsed = await auto.read(b"", "a.txt")
    assert (parsed.text, parsed.pages, parsed.media_type) == ("", (), "text/plain")


async def test_html_keeps_its_structure_and_loses_its_scripts(auto: Processor) -> None:
    page = """<!DOCTYPE html><html><head><title>A page</title><meta name="author" content="Ada">
    <style>p { color: red }</style></head><body><h1>Llamas</h1><p>They are <b>not</b>
    sheep.<br>Really.</p><ul><li>one<li>two</ul><script>alert("no")</script>
    <table><tr><th>Name</th><th>Age</th></tr><tr><td>Ada</td><td>36</td></tr></table>
    <pre>a  b\n  c</pre><img src="x.png" alt="a hill">&copy; 2026</body></html>"""
    parsed = await auto.read(page.encode(), "page.txt")
    assert parsed.text == (
        "A page\n\n# Llamas\n\nThey are not sheep.\nReally.\n\n- one\n- two\n\nName | Age\nAda | 36\n\na  b\n  c\n\n"
        "a hill © 2026"
    )
    assert parsed.media_type == "text/html"
    assert parsed.metadata == {"title": "A page", "author": "Ada"}


async def test_html_that_breaks_the_rules_is_read(auto: Processor) -> None:
    page = b"<html><body><p>one</p><![if x]>two<![weird[ ]]> three <!x> four </nothing> <b>five"
    assert (await auto.read(page)).text.split() == ["one", "two", "three", "four", "five"]


async def test_html_declares_its_encoding(auto: Processor) -> None:
    page = '<html><head><meta charset="iso-8859-2"></head><body>łódź</body></html>'
    assert (await auto.read(page.encode("iso-8859-2"), "a.html")).text == "łódź"


async def test_json_is_set_out(auto: Processor) -> None:
    value = {"b": [1, {"ä": None}], "a": "x"}
    parsed = await auto.read(json.dumps(value).encode(), "a.json")
    assert parsed.text == json.dumps(value, indent=2, ensure_ascii=False)
    assert (parsed.media_type, parsed.parser) == ("application/json", "json")
    lines = await auto.read(b'{"a": "\\u00e4"}\n\nnot json\n[1,2]', "a.jsonl")
    assert lines.text == '{"a": "ä"}\n\nnot json\n[1, 2]'


@pytest.mark.parametrize("broken", ['{"a": ', "[" * 100_000, '{"a": NaN}', "1" * 5000])
async def test_what_is_no_json_in_truth_is_text(auto: Processor, broken: str) -> None:
    parsed = await auto.read(broken.encode(), "a.json")
    assert (parsed.text, parsed.parser) == (broken, "text")


async def test_mail_has_its_headers_its_text_and_the_names_of_attachments(auto: Processor) -> None:
    raw = documents.mail("Größe", "Hello Bob.\n\nBye.", html="<p>Hello</p>", attached=["a.pdf", "ünï.bin"])
    parsed = await auto.read(raw, "a.eml")
    assert parsed.text == (
        "From: Ada Lovelace <ada@example.com>\nTo: bob@example.com\nDate: Mon, 05 Jan 2026 10:00:00 +0000\n"
        "Subject: Größe\n\nHello Bob.\n\nBye.\n\nAttachments: a.pdf, ünï.bin"
    )
    assert parsed.metadata["subject"] == "Größe"
    only_html = await auto.read(documents.mail("S", "", html="<h1>Hi</h1><p>there</p>"), "", "message/rfc822")
    assert only_html.text.endswith("Subject: S\n\n# Hi\n\nthere")
    unnamed = await auto.read(raw)
    assert unnamed.media_type == "message/rfc822"


async def test_rtf_loses_its_markup(auto: Processor) -> None:
    rtf = (
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\*\generator X;}\f0\fs24 Caf\'e9 \b bold\b0\par "
        rb"Snow\u9731?man \{x\}\par}"
    )
    parsed = await auto.read(rtf, "a.rtf")
    assert parsed.text == "Café bold\nSnow☃man {x}"
    assert parsed.media_type == "application/rtf"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "a PNG image"),
        (b"\x7fELF" + bytes(500), "a program"),
        (b"PK\x05\x06" + bytes(18), r"an archive \(zip\)"),
        (b"\x1f\x8b\x08\x00" + bytes(range(256)), "a gzip archive"),
        (bytes(range(256)) * 8, "neither text nor"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), r"former binary formats"),
    ],
)
async def test_binaries_are_named_with_what_can_be_read(auto: Processor, content: bytes, says: str) -> None:
    with pytest.raises(UnsupportedFile, match=f"'a.txt' cannot be read. .*{says}.*PDF, DOCX, PPTX, XLSX"):
        await auto.read(content, "a.txt")


@given(st.text(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_marked_and_utf8_text_round_trips(text: str, encoding: str) -> None:
    assume(not text.startswith("\0"))  # the mark of UTF-16 and a NUL are the mark of UTF-32
    assert decoded(codecs.BOM_UTF8 + text.encode() if encoding == "utf-8" else text.encode(encoding)) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_normalised_text_is_stable(text: str) -> None:
    once = normalized(text)
    assert normalized(once) == once
    assert unicodedata.is_normalized("NFC", once)


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded(data: bytes) -> None:
    assert isinstance(decoded(data), str)
    assert isinstance(is_binary(data), bool)


ANY_FILE = st.one_of(
    st.binary(max_size=2000),
    st.builds(
        lambda magic, rest: magic + rest,
        st.sampled_from([b"%PDF-1.7\n", b"PK\x03\x04", b"{\\rtf1 ", b"<html>", b"From: a\n", b"\xff\xfe", b"[{"]),
        st.binary(max_size=500),
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contents=st.lists(
        st.tuples(ANY_FILE, st.sampled_from(["", ".pdf", ".eml", ".json", ".docx"])), min_size=1, max_size=8
    )
)
async def test_any_bytes_are_text_or_a_clear_error(auto: Processor, contents: list[tuple[bytes, str]]) -> None:
    for content, suffix in contents:
        with contextlib.suppress(InvalidFile, UnsupportedFile):
            check_promises(await auto.read(content, f"a{suffix}"))
    assert (await auto.read(b"still here", "a.txt")).text == "still here"
