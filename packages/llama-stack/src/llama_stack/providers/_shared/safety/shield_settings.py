"""A provider's settings as its shields change them: `params` of a shield take the place of the provider's own."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from llama_stack_api.errors import InvalidRequest
from llama_stack_api.shields import Shield

S = TypeVar("S", bound=BaseModel)


class ShieldSettings(Generic[S]):
    def __init__(self, default: S) -> None:
        self._default = default
        self._of: dict[str, S] = {}

    def register(self, shield: Shield) -> None:
        """`InvalidRequest` for params that the provider's settings would not allow either."""
        changed = {**self._default.model_dump(), **(shield.params or {})}
        try:
            self._of[shield.identifier] = type(self._default).model_validate(changed)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise InvalidRequest(f"The params of shield '{shield.identifier}' are wrong: {problems}") from None

    def of(self, shield_id: str | None) -> S:
        return self._of.get(shield_id or "", self._default)
