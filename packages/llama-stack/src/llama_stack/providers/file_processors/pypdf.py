"""`inline::auto` under the name that configurations written for PDF alone use, with their defaults."""

from __future__ import annotations

from llama_stack.providers._shared.parsing.processor import OWN_PACKAGES, PooledProcessor
from llama_stack.providers._shared.parsing.settings import ParsingConfig
from llama_stack_api.api import Api
from llama_stack_api.provider import provider


class PyPdfConfig(ParsingConfig):
    clean_text: bool = True
    """Whether runs of spaces and of empty lines in the text of a PDF are reduced to one."""


@provider(
    api=Api.file_processors,
    type="inline::pypdf",
    description="The same as inline::auto, with the text of PDFs cleaned of superfluous spaces.",
    config=PyPdfConfig,
    pip_packages=OWN_PACKAGES,
)
class PyPdf(PooledProcessor):
    engine = "own"
