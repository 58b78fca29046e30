"""What safety providers share: the shields that they were told of, the text of messages, and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_stack_api.errors import InvalidRequest, NotFound
from llama_stack_api.openai.chat_messages import Message
from llama_stack_api.openai.moderations import CreateModerationRequest, ModerationImage
from llama_stack_api.safety import RunShieldResponse, SafetyViolation, ViolationLevel
from llama_stack_api.shields import Shield

MESSAGE = "This content is not allowed here."


class KnownShields:
    """Implements `ports.safety.RegistersShields`."""

    def __init__(self) -> None:
        self._shields: dict[str, Shield] = {}

    async def register_shield(self, shield: Shield) -> None:
        self._shields[shield.identifier] = shield

    def shield(self, shield_id: str | None) -> Shield:
        try:
            return self._shields[shield_id or ""]
        except KeyError:
            raise NotFound(f"There is no shield {shield_id!r} at this provider.") from None


def text_of(message: Message) -> str:
    """All text of a message: what is said, and what its tool calls hand over."""
    content = message.content
    texts = [content] if isinstance(content, str) else [getattr(part, "text", "") or "" for part in content or ()]
    for call in getattr(message, "tool_calls", None) or ():
        function = getattr(call, "function", None)
        if function is not None:
            texts.append(f"{function.name} {function.arguments}")
    return "\n".join(text for text in texts if text)


def texts_to_moderate(request: CreateModerationRequest) -> list[str]:
    """One text per verdict. `InvalidRequest` for images, which a provider that judges text alone cannot see."""
    given = request.input
    if isinstance(given, str):
        return [given]
    texts = [each for each in given if isinstance(each, str)]
    if texts or not given:
        return texts
    if any(isinstance(part, ModerationImage) for part in given):
        raise InvalidRequest("This moderation model judges text alone; leave out the images.", param="input")
    return ["\n".join(getattr(part, "text", "") for part in given)]


def passed() -> RunShieldResponse:
    return RunShieldResponse()


def blocked(message: str | None = None, *, categories: Sequence[str] = (), **metadata: Any) -> RunShieldResponse:
    """`message` is for the user; None: nothing more than that it is not allowed."""
    return RunShieldResponse(
        violation=SafetyViolation(
            violation_level=ViolationLevel.ERROR,
            user_message=message or MESSAGE,
            metadata={"categories": list(categories), **metadata},
        )
    )
