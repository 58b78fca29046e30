"""The texts that a safety provider is asked about. Images, sound and files are not text: nothing is said of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llama_stack_api.errors import InvalidRequest
from llama_stack_api.openai.chat_messages import (
    AssistantMessage,
    Content,
    CustomToolCall,
    FunctionToolCall,
    Message,
    RefusalPart,
    TextPart,
)
from llama_stack_api.openai.moderations import CreateModerationRequest, ModerationImage, ModerationText


def texts_of_messages(messages: Iterable[Message]) -> list[str]:
    """What is said, whoever says it, and what an assistant gives to its tools."""
    texts = []
    for message in messages:
        texts += _texts_of_content(message.content)
        if isinstance(message, AssistantMessage):
            texts += _texts_of_calls(message)
    return [text for text in texts if text]


def text_of(message: Message) -> str:
    """All that `texts_of_messages` finds in one."""
    return "\n".join(texts_of_messages([message]))


def inputs_of(request: CreateModerationRequest) -> list[list[str]]:
    """Per verdict the texts that it is about: parts are judged together, texts of a list each by itself."""
    if isinstance(request.input, str):
        return [[request.input]]
    texts = [text for text in request.input if isinstance(text, str)]
    if texts or not request.input:
        return [[text] for text in texts]
    return [[part.text for part in request.input if isinstance(part, ModerationText)]]


def texts_to_moderate(request: CreateModerationRequest) -> list[str]:
    """One text per verdict. `InvalidRequest` for images, which a provider that judges text alone cannot see."""
    if any(isinstance(part, ModerationImage) for part in request.input):
        raise InvalidRequest("This moderation model judges text alone; leave out the images.", param="input")
    return ["\n".join(texts) for texts in inputs_of(request)]


def check_size(texts: Sequence[str], chars_max: int, name: str) -> None:
    if sum(map(len, texts)) > chars_max:
        raise InvalidRequest(
            f"The texts are longer than the {chars_max} characters that provider '{name}' judges; "
            "its setting `chars_max` raises that."
        )


def _texts_of_content(content: Content | None) -> list[str]:
    if content is None or isinstance(content, str):
        return [content or ""]
    texts = [part.text for part in content if isinstance(part, TextPart)]
    return texts + [part.refusal for part in content if isinstance(part, RefusalPart)]


def _texts_of_calls(message: AssistantMessage) -> list[str]:
    texts = [message.refusal or ""]
    if message.function_call is not None:
        texts += [message.function_call.name, message.function_call.arguments]
    for call in message.tool_calls or ():
        if isinstance(call, FunctionToolCall):
            texts += [call.function.name, call.function.arguments]
        elif isinstance(call, CustomToolCall):
            texts += [call.custom.name, call.custom.input]
    return texts
