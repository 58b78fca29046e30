"""Text and images in the native APIs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from llama_stack_api.base import WireModel


class URL(WireModel):
    uri: str


class _URLOrData(WireModel):
    """An address, or the image itself in base64. A bare string is an address."""

    url: URL | None = None
    data: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_address(cls, value: Any) -> Any:
        return {"url": {"uri": value}} if isinstance(value, str) else value


class ImageContentItem(WireModel):
    type: Literal["image"] = "image"
    image: _URLOrData


class TextContentItem(WireModel):
    type: Literal["text"] = "text"
    text: str


InterleavedContentItem: TypeAlias = Annotated[ImageContentItem | TextContentItem, Field(discriminator="type")]

InterleavedContent: TypeAlias = Annotated[
    str | InterleavedContentItem | list[InterleavedContentItem], Field(union_mode="left_to_right")
]
