"""Chat completions that were kept because their request said `store`."""

from __future__ import annotations

from typing import Literal

from llama_stack_api.base import Metadata, WireModel
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionMessage, ContentPart, Message
from llama_stack_api.paging import Order, Page, PageParams


class ListMessagesParams(PageParams):
    order: Order = "asc"


class ListChatCompletionsParams(PageParams):
    """The query of the list. `metadata`, sent as `metadata[key]=value`, selects completions that have all pairs."""

    model: str | None = None
    metadata: Metadata | None = None
    order: Order = "asc"


class StoredChatCompletion(ChatCompletion):
    """A kept completion and the messages that it answered."""

    input_messages: list[Message] | None = None


class ChatCompletionList(Page[StoredChatCompletion]):
    pass


class UpdateChatCompletionRequest(WireModel):
    """Only the metadata can be changed; null removes it."""

    metadata: Metadata | None


class ChatCompletionDeleted(WireModel):
    object: Literal["chat.completion.deleted"] = "chat.completion.deleted"
    id: str
    deleted: bool


class StoredMessage(ChatCompletionMessage):
    """A message of a kept completion. `content_parts` holds the parts where the content was not plain text."""

    id: str
    content_parts: list[ContentPart] | None = None


class ChatCompletionMessageList(Page[StoredMessage]):
    pass
