"""Makes values of pydantic models from their annotations alone: of our wire types, and of the `openai` package's."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from annotated_types import Ge
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

Places: TypeAlias = Mapping[tuple[type[BaseModel], str], Any]
"""(model, field) -> the annotation to make it of, where the model's own is wider than what is wanted."""


class Maker:
    """Values by chance, the same for the same seed.

    Of a union that allows any text besides literals, the literals are made; of one that allows null, a value.
    """

    def __init__(
        self, chance: random.Random, *, optional: float = 1.0, unknown: float = 0.0, places: Places | None = None
    ) -> None:
        """`optional` is the share of the optional fields that are set, `unknown` of the objects with a further one."""
        self._chance = chance
        self._optional = optional
        self._unknown = unknown
        self._places = places or {}

    def model(self, model: type[BaseModel]) -> dict[str, Any]:
        """The fields of an instance by the names that they have in JSON."""
        made = {}
        for name, field in model.model_fields.items():
            if field.is_required() or name == "type" or self._chance.random() < self._optional:
                made[field.alias or name] = self.value(self._places.get((model, name), field.annotation), field)
        if self._chance.random() < self._unknown:
            made[f"x-{self.text()}"] = self._chance.choice([None, 1.5, {"deep": [True, {}]}, self.text()])
        return made

    def value(self, annotation: Any, field: FieldInfo | None = None) -> Any:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self.value(arguments[0], field)
        if origin in (Union, UnionType):
            return self.value(self._chance.choice(worth_making(arguments)), field)
        if origin is Literal:
            return self._chance.choice(arguments)
        if origin is list:
            return [self.value(arguments[0]) for _ in range(self._chance.randint(1, 2))]
        if origin is dict:
            return {self.text(): self.value(arguments[1])}
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return self.model(annotation)
        return self.scalar(annotation, field)

    def scalar(self, annotation: Any, field: FieldInfo | None) -> Any:
        match annotation:
            case type() if issubclass(annotation, bool):
                return self._chance.random() < 0.5
            case type() if issubclass(annotation, int):
                bounds = [each.ge for each in field.metadata if isinstance(each, Ge)] if field else []
                least = next((bound for bound in bounds if isinstance(bound, int)), 1)
                return least + self._chance.randint(0, 2)
            case type() if issubclass(annotation, float):
                return round(self._chance.random(), 3)
            case type() if issubclass(annotation, str | SecretStr):
                return self.text()
            case _ if annotation in (Any, object):
                return {self.text(): [1, None, self.text()]}
        raise TypeError(f"cannot make {annotation!r}")

    def text(self) -> str:
        return "".join(self._chance.choices(string.ascii_letters + " é→", k=self._chance.randint(1, 9)))


def worth_making(members: tuple[Any, ...]) -> list[Any]:
    present = [member for member in members if member is not NoneType]
    named = [member for member in present if not is_fallback(member)] or present
    if any(get_origin(member) is Literal for member in named):
        return [member for member in named if member is not str]
    return named


def is_fallback(member: Any) -> bool:
    """For values of unknown type, as against a model whose `type` is one of some literals."""
    while get_origin(member) is Annotated:
        member = get_args(member)[0]
    if not (isinstance(member, type) and issubclass(member, BaseModel)):
        return False
    kind = member.model_fields.get("type")
    return kind is not None and kind.annotation is str


def members(union: Any) -> list[type[BaseModel]]:
    """The models of a union, at any depth, each once."""
    if isinstance(union, type):
        return [union] if issubclass(union, BaseModel) and not is_fallback(union) else []
    found = [model for part in get_args(union) for model in members(part)]
    return list(dict.fromkeys(found))
