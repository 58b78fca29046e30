"""Moderations: whether texts and images are harmful, by category."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, WithJsonSchema

from llama_stack_api.base import JsonObject, WireModel

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""Those of OpenAI's contract. A provider may report further ones of its own."""


class ImageUrl(WireModel):
    """An address, or a `data:` URL."""

    url: str


class ModerationImage(WireModel):
    type: Literal["image_url"] = "image_url"
    image_url: ImageUrl


class ModerationText(WireModel):
    type: Literal["text"] = "text"
    text: str


ModerationPart: TypeAlias = Annotated[ModerationImage | ModerationText, Field(discriminator="type")]


class CreateModerationRequest(WireModel):
    """Each text of a list is judged by itself; parts are judged together. `model` names a shield, or one of the models
    that a shield stands for; none means the default shield."""

    input: str | list[str] | list[ModerationPart]
    model: str | None = None


def _of_each_category(value: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "type": "object",
            "properties": dict.fromkeys(CATEGORIES, value),
            "required": list(CATEGORIES),
            "additionalProperties": value,
        }
    )


Flags: TypeAlias = Annotated[
    dict[str, bool],
    AfterValidator(lambda flags: dict.fromkeys(CATEGORIES, False) | flags),
    _of_each_category({"type": "boolean"}),
]
Scores: TypeAlias = Annotated[
    dict[str, float],
    AfterValidator(lambda scores: dict.fromkeys(CATEGORIES, 0.0) | scores),
    _of_each_category({"type": "number", "minimum": 0, "maximum": 1}),
]
InputTypes: TypeAlias = Annotated[
    dict[str, list[str]],
    AfterValidator(lambda types: {name: [] for name in CATEGORIES} | types),
    _of_each_category({"type": "array", "items": {"type": "string", "enum": ["text", "image"]}}),
]


class ModerationVerdict(WireModel):
    """Per category: whether it is flagged, its score (0 to 1), and the kinds of input that it was judged by. All of
    `CATEGORIES` are there; those that the model does not judge are false, with score 0 and no input types."""

    flagged: bool
    categories: Flags
    category_scores: Scores
    category_applied_input_types: InputTypes
    user_message: str | None = None
    metadata: JsonObject | None = None


class CreateModerationResponse(WireModel):
    id: str
    model: str
    results: list[ModerationVerdict]


def verdict(scores: dict[str, float], flagged: dict[str, bool], applied: list[str], **more: Any) -> ModerationVerdict:
    """A verdict on what was judged, completed by the contract's other categories."""
    names = [*CATEGORIES, *(name for name in {**scores, **flagged} if name not in CATEGORIES)]
    return ModerationVerdict(
        flagged=any(flagged.values()),
        categories={name: flagged.get(name, False) for name in names},
        category_scores={name: scores.get(name, float(flagged.get(name, False))) for name in names},
        category_applied_input_types={name: applied if name in scores or name in flagged else [] for name in names},
        **more,
    )
