"""Images of a chat that lie elsewhere, brought along for providers that take them as data alone."""

from __future__ import annotations

from collections.abc import Iterator

from llama_stack.agent.attachments import FetchedAttachments
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.chat_messages import ImagePart
from llama_stack_api.principal import Call


def wanted_as_data(provider: object) -> bool:
    """Whether the provider says that it cannot fetch: its class attribute `takes_image_urls` is False."""
    return not getattr(provider, "takes_image_urls", True)


class ChatImages:
    """Within the limits of `server.responses.attachments`, and through the egress guard."""

    def __init__(self, attachments: FetchedAttachments) -> None:
        self._attachments = attachments

    async def inlined(self, params: ChatCompletionRequest, call: Call) -> ChatCompletionRequest:
        """The request itself where it names no address; else a copy. `InvalidRequest` for what cannot be had."""
        # The same picture may come again with every turn.
        urls = list(dict.fromkeys(part.image_url.url for part in _elsewhere(params)))
        if not urls:
            return params
        try:
            loaded = await self._attachments.load([("input_image", "image_url", url) for url in urls], call)
        except InvalidRequest as error:
            error.param = error.param or "messages"
            raise
        data = {url: part["image_url"] for url, part in zip(urls, loaded, strict=True)}
        copied = params.model_copy(deep=True)
        for part in _elsewhere(copied):
            part.image_url.url = data[part.image_url.url]
        return copied


def _elsewhere(params: ChatCompletionRequest) -> Iterator[ImagePart]:
    for message in params.messages:
        if isinstance(message.content, list):
            for part in message.content:
                if isinstance(part, ImagePart) and part.image_url.url[:4].lower() == "http":
                    yield part
