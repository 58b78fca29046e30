"""Addresses and names of files that are none: a clear refusal."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack.dialects.gemini.to_gemini import gemini_request
from llama_stack_api.errors import UnsupportedParameter


def asked(part: dict[str, Any]) -> dict[str, Any]:
    return gemini_request({"model": "gemini-2.5-pro", "messages": [{"role": "user", "content": [part]}]})


@pytest.mark.parametrize("url", ["gs://[", "http://[::1", "https://\u2100.example/a.png"])
def test_an_address_that_is_none(url: str) -> None:
    for part in (
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "file", "file": {"file_id": url, "filename": "a.pdf"}},
    ):
        with pytest.raises(UnsupportedParameter):
            asked(part)


def test_a_strange_name_of_a_file() -> None:
    said = asked({"type": "file", "file": {"file_id": "files/abc", "filename": "//[a.pdf"}})
    assert said["contents"][0]["parts"][0]["fileData"]["mimeType"] == "application/pdf"
