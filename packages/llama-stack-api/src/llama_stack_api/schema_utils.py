"""Decorators that packages written for `llama-stack-api` 0.7 put on their types and methods. All only annotate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
CallableT = TypeVar("CallableT", bound=Callable[..., Any])


def json_schema_type(cls: type[T]) -> type[T]:
    """Pydantic names every model in a schema by itself, so this changes nothing."""
    return cls


def register_schema(schema_type: T, name: str | None = None) -> T:
    """As `json_schema_type`, for unions."""
    return schema_type


class ExtraBodyField(Generic[T]):
    """Marks a parameter that OpenAI's clients send by `extra_body`."""

    def __init__(self, description: str | None = None) -> None:
        self.description = description


@dataclass(frozen=True, slots=True)
class WebMethod:
    """The HTTP route of a protocol's method."""

    route: str | None = None
    method: str | None = None
    level: str | None = None
    public: bool = False
    raw_bytes_request_body: bool = False
    descriptive_name: str | None = None
    deprecated: bool = False
    require_authentication: bool = True


def webmethod(
    route: str | None = None, method: str | None = None, level: str | None = None, **options: Any
) -> Callable[[CallableT], CallableT]:
    """State the route of a method, in its attribute `__webmethod__`. `options` are `WebMethod`'s other fields."""

    def annotate(function: CallableT) -> CallableT:
        function.__webmethod__ = WebMethod(route, method, level, **options)  # type: ignore[attr-defined]
        return function

    return annotate
