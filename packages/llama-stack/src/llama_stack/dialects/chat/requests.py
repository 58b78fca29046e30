"""Members of a chat completion request that every dialect has to read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from llama_stack.dialects.chat.values import Json, mapping, objects
from llama_stack_api.errors import UnsupportedParameter

NOT_THE_MODELS: Final = frozenset({
    "store", "metadata", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention",
})  # fmt: skip
"""What is ours and not the model's to do."""

MEANS_NOTHING: Final[Mapping[str, tuple[Any, ...]]] = {
    "n": (1,), "frequency_penalty": (0,), "presence_penalty": (0,), "logprobs": (False,), "top_logprobs": (0,),
    "logit_bias": ({},), "verbosity": ("medium",), "modalities": (["text"],), "service_tier": ("auto", "default"),
}  # fmt: skip
"""Values that ask for nothing, of what an upstream may not have."""


def refuse_unknown(chat: Json, known: Collection[str], upstream: str) -> None:
    """`UnsupportedParameter` for a member beside the known ones that asks for something."""
    for name in chat:
        if name not in known:
            refuse(chat, name, upstream)


def refuse(chat: Json, name: str, upstream: str) -> None:
    """`UnsupportedParameter` if the request asks for what the upstream has not."""
    value = chat.get(name)
    if value is not None and value not in MEANS_NOTHING.get(name, ()):
        raise UnsupportedParameter(f"{upstream} has no '{name}'. Leave it out.", param=name)


def limit_of(chat: Json) -> int | None:
    """The most tokens that the answer may have."""
    limit: int | None = chat.get("max_completion_tokens") or chat.get("max_tokens")
    return limit


def stops_of(chat: Json) -> list[str] | None:
    stop = chat.get("stop")
    return [stop] if isinstance(stop, str) else stop or None


def offered_tools(chat: Json) -> tuple[list[Json], Any]:
    """The tools that may be called, and how they are to be chosen. `allowed_tools` narrows them, and is then no
    choice any more."""
    tools, choice = objects(chat.get("tools")), mapping(chat.get("tool_choice"))
    if choice.get("type") != "allowed_tools":
        return tools, chat.get("tool_choice")
    allowed = mapping(choice.get("allowed_tools")) or choice
    names = {name_of(reference) for reference in objects(allowed.get("tools"))}
    return [tool for tool in tools if name_of(tool) in names], allowed.get("mode")


def name_of(reference: Json) -> Any:
    """The function that a tool, or a choice of one, names."""
    return mapping(reference.get("function")).get("name") or reference.get("name")


def object_schema(schema: Json) -> Json:
    """A JSON Schema that says it is an object's, where it says nothing."""
    return schema if "type" in schema else {"type": "object", "properties": {}, **schema}
