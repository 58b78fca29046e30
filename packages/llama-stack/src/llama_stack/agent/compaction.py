"""Summaries: of a conversation that has become too long, and of what a model thought."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Final

from llama_stack.agent.chat.assembler import Assembler
from llama_stack.agent.chat.messages import chat_messages
from llama_stack.agent.entries import Entry, Item
from llama_stack.agent.ids import new_id
from llama_stack.agent.ports import Model
from llama_stack.agent.seals import Seals
from llama_stack.agent.turn import Usage
from llama_stack_api.errors import ProviderError
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import Call

COMPACT: Final = (
    "The conversation above has become too long and will be replaced by your summary, which is all that you will know "
    "of it. Write down what is needed to go on without a break: what the user wants, with the newest request word for "
    "word; facts, names, numbers, files and addresses that matter; what was done, with which results; what was decided "
    "and why; what is still to be done. Do not answer the request, do not call tools, add nothing new."
)
SUMMARISE: Final = (
    "Summarise the reasoning that follows for the person who asked: what was considered and concluded, "
    "in the first person, in Markdown. {length} Write only the summary."
)
LENGTHS: Final[dict[str, str]] = {
    "concise": "Use one or two sentences.",
    "detailed": "Use a short paragraph, under a bold heading, for each step of the reasoning.",
}
LENGTH_DEFAULT: Final = "Use a few sentences under a bold heading."


async def compact(
    model: Model,
    name: str,
    entries: Sequence[Entry],
    *,
    instructions: str | list[Item] | None = None,
    call: Call,
    seals: Seals,
    tokens_max: int,
    item_id: str | None = None,
) -> tuple[Entry, Usage | None]:
    """A `compaction` item that stands for `entries`, by the model `name`. Raises what the model's provider raises."""
    messages = chat_messages(entries, instructions=instructions, unseal=seals.unseal)
    text, usage = await say(model, name, [*messages, {"role": "user", "content": COMPACT}], call, tokens_max=tokens_max)
    if not text:
        raise ProviderError("the model gave no summary of the conversation")
    item = {
        "id": item_id or new_id("compaction"),
        "type": "compaction",
        "encrypted_content": seals.seal("compaction", text),
    }
    return Entry(item), usage


def summary_messages(thought: str, detail: str) -> list[dict[str, Any]]:
    """`detail` is `auto`, `concise` or `detailed`."""
    return [
        {"role": "system", "content": SUMMARISE.format(length=LENGTHS.get(detail, LENGTH_DEFAULT))},
        {"role": "user", "content": thought},
    ]


async def say(
    model: Model, name: str, messages: Sequence[dict[str, Any]], call: Call, *, tokens_max: int
) -> tuple[str, Usage | None]:
    """What the model answers, as text."""
    request = ChatCompletionRequest.model_validate(
        {
            "model": name,
            "messages": list(messages),
            "max_completion_tokens": tokens_max,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )
    assembler = Assembler({}, coalesce=True)
    stream = await model.stream(request, call)
    async with aclosing(stream):
        async for block in stream:
            assembler.feed(block)
    assembler.finish()
    parts = [
        part.get("text", "")
        for entry in assembler.generated.entries
        if entry.item["type"] == "message"
        for part in entry.item["content"]
    ]
    return "".join(parts).strip(), assembler.generated.usage
