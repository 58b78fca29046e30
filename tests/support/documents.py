"""Small documents of every kind, made by the libraries that people's programs use."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from typing import Any


def pdf(pages: Sequence[Sequence[str]], *, title: str = "", password: str | None = None) -> bytes:
    """A PDF of lines of text; a page without lines is blank."""
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen import canvas

    out = io.BytesIO()
    encryption = StandardEncryption(password, strength=128) if password is not None else None
    sheet = canvas.Canvas(out, encrypt=encryption, invariant=True)
    sheet.setTitle(title)
    for lines in pages:
        for number, line in enumerate(lines):
            sheet.drawString(72, 740 - 18 * number, line)
        sheet.showPage()
    sheet.save()
    return out.getvalue()


def raw_pdf(objects: Mapping[int, bytes], root: int = 1) -> bytes:
    """A PDF of objects as they are given, with a right table of them: for what no library would write."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = {}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    size = max(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size
    for number in range(1, size):
        offset = offsets.get(number)
        out += b"%010d 00000 n \n" % offset if offset is not None else b"0000000000 00000 f \n"
    out += b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, root, start)
    return bytes(out)


def docx(fill: Callable[[Any], None]) -> bytes:
    import docx

    document = docx.Document()
    fill(document)
    return _saved(document.save)


def pptx(fill: Callable[[Any], None]) -> bytes:
    import pptx

    presentation = pptx.Presentation()
    fill(presentation)
    return _saved(presentation.save)


def xlsx(sheets: Mapping[str, Sequence[Sequence[Any]]]) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    return _saved(book.save)


def mail(subject: str, text: str, *, html: str | None = None, attached: Sequence[str] = ()) -> bytes:
    message = EmailMessage()
    message["From"] = "Ada Lovelace <ada@example.com>"
    message["To"] = "bob@example.com"
    message["Date"] = "Mon, 05 Jan 2026 10:00:00 +0000"
    message["Subject"] = subject
    if text:
        message.set_content(text)
        if html is not None:
            message.add_alternative(html, subtype="html")
    else:
        message.set_content(html or "", subtype="html")
    for name in attached:
        message.add_attachment(b"\0\1\2", maintype="application", subtype="octet-stream", filename=name)
    return message.as_bytes()


def with_member(document: bytes, name: str, content: bytes | Callable[[bytes], bytes]) -> bytes:
    """An office document in which one part is another; a new name adds one."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(document)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        for each in names:
            body = old.read(each)
            if each == name:
                body = content(body) if callable(content) else content
            new.writestr(each, body)
        if name not in names:
            assert isinstance(content, bytes)
            new.writestr(name, content)
    return out.getvalue()


def _saved(save: Callable[[Any], None]) -> bytes:
    out = io.BytesIO()
    save(out)
    return out.getvalue()
