"""What requests and replies say: texts with citations, images, documents, search results."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, Tag

from llama_stack_api.base import OTHER, Flag, WireModel, by_type, other_than

CITATION_TYPES = (
    "char_location", "page_location", "content_block_location", "web_search_result_location", "search_result_location",
)  # fmt: skip
PART_TYPES = ("text", "image")


class CacheControl(WireModel):
    """Up to here the prompt may be kept for the next request. Providers that cannot do that are not told."""

    type: Literal["ephemeral"] | str = "ephemeral"
    ttl: Literal["5m", "1h"] | str | None = None


class Block(WireModel):
    cache_control: CacheControl | None = None


class BaseCitation(WireModel):
    cited_text: str


class DocumentCitation(BaseCitation):
    """`document_index` counts the documents of the request from 0."""

    document_index: int
    document_title: str | None = None
    file_id: str | None = None


class CharLocation(DocumentCitation):
    """Characters of a plain text, from 0, the end excluded."""

    type: Literal["char_location"] = "char_location"
    start_char_index: int
    end_char_index: int


class PageLocation(DocumentCitation):
    """Pages of a PDF, from 1, the end excluded."""

    type: Literal["page_location"] = "page_location"
    start_page_number: int
    end_page_number: int


class ContentBlockLocation(DocumentCitation):
    """Blocks of a document that is given in blocks, from 0, the end excluded."""

    type: Literal["content_block_location"] = "content_block_location"
    start_block_index: int
    end_block_index: int


class WebSearchResultLocation(BaseCitation):
    type: Literal["web_search_result_location"] = "web_search_result_location"
    encrypted_index: str
    title: str | None = None
    url: str


class SearchResultLocation(BaseCitation):
    """`search_result_index` counts the search results of the request from 0."""

    type: Literal["search_result_location"] = "search_result_location"
    search_result_index: int
    source: str
    title: str | None = None
    start_block_index: int
    end_block_index: int


class OtherCitation(WireModel):
    type: str = Field(json_schema_extra=other_than(*CITATION_TYPES))


Citation: TypeAlias = Annotated[
    Annotated[CharLocation, Tag("char_location")]
    | Annotated[PageLocation, Tag("page_location")]
    | Annotated[ContentBlockLocation, Tag("content_block_location")]
    | Annotated[WebSearchResultLocation, Tag("web_search_result_location")]
    | Annotated[SearchResultLocation, Tag("search_result_location")]
    | Annotated[OtherCitation, Tag(OTHER)],
    by_type(*CITATION_TYPES),
]


class CitationsConfig(WireModel):
    enabled: Flag | None = None


class TextBlock(Block):
    type: Literal["text"] = "text"
    text: str
    citations: list[Citation] | None = None


class ImageSource(WireModel):
    """`base64` has `data` and its `media_type`, `url` an address, `file` the id of an upload."""

    type: Literal["base64", "url"] | str = "base64"
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"] | str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None


class ImageBlock(Block):
    type: Literal["image"] = "image"
    source: ImageSource


class OtherPart(WireModel):
    type: str = Field(json_schema_extra=other_than(*PART_TYPES))


Part: TypeAlias = Annotated[
    Annotated[TextBlock, Tag("text")] | Annotated[ImageBlock, Tag("image")] | Annotated[OtherPart, Tag(OTHER)],
    by_type(*PART_TYPES),
]


class DocumentSource(WireModel):
    """`base64` has a PDF in `data`, `text` a plain text there, `url` the address of a PDF, `content` parts that can be
    cited one by one, `file` the id of an upload."""

    type: Literal["base64", "text", "content", "url"] | str
    media_type: Literal["application/pdf", "text/plain"] | str | None = None
    data: str | None = None
    content: str | list[Part] | None = None
    url: str | None = None
    file_id: str | None = None


class DocumentBlock(Block):
    type: Literal["document"] = "document"
    source: DocumentSource
    title: str | None = None
    context: str | None = None
    citations: CitationsConfig | None = None


class SearchResultBlock(Block):
    """What a search of the caller's found. `source` says where, as text or address."""

    type: Literal["search_result"] = "search_result"
    source: str
    title: str
    content: list[TextBlock]
    citations: CitationsConfig | None = None


class ToolReference(Block):
    """The name of a tool that a search for tools found."""

    type: Literal["tool_reference"] = "tool_reference"
    tool_name: str
