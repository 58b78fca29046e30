"""The default: every format that the server reads by itself."""

from __future__ import annotations

from llama_stack.providers._shared.parsing.processor import OWN_PACKAGES, PooledProcessor
from llama_stack.providers._shared.parsing.settings import ParsingConfig
from llama_stack_api.api import Api
from llama_stack_api.provider import provider


@provider(
    api=Api.file_processors,
    type="inline::auto",
    description="PDF, DOCX, PPTX, XLSX, HTML, Markdown, text, CSV, JSON, e-mail and source code, by their content.",
    config=ParsingConfig,
    pip_packages=OWN_PACKAGES,
)
class Auto(PooledProcessor):
    engine = "own"
