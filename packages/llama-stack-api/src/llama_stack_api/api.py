"""The APIs that providers implement and resources are routed to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema


class Api(str):
    """The name of an API. Equal to its string; `Api("inference") is Api.inference`. `Api.add` adds external ones."""

    _members: ClassVar[dict[str, Api]] = {}

    inference: ClassVar[Api]
    safety: ClassVar[Api]
    vector_io: ClassVar[Api]
    tool_runtime: ClassVar[Api]
    files: ClassVar[Api]
    file_processors: ClassVar[Api]
    responses: ClassVar[Api]
    messages: ClassVar[Api]
    batches: ClassVar[Api]
    models: ClassVar[Api]
    shields: ClassVar[Api]
    vector_stores: ClassVar[Api]
    tool_groups: ClassVar[Api]
    conversations: ClassVar[Api]
    prompts: ClassVar[Api]
    connectors: ClassVar[Api]
    inspect: ClassVar[Api]
    providers: ClassVar[Api]
    admin: ClassVar[Api]

    __slots__ = ()

    def __new__(cls, value: str) -> Api:
        try:
            return cls._members[value]
        except KeyError:
            raise ValueError(f"{value!r} is not an API; known: {', '.join(sorted(cls._members))}") from None

    @property
    def value(self) -> str:
        return str(self)

    @property
    def name(self) -> str:
        return str(self)

    @classmethod
    def add(cls, value: str) -> Api:
        """Make an external API known (idempotent)."""
        if value not in cls._members:
            member = str.__new__(cls, value)
            cls._members[value] = member
            setattr(cls, value, member)
        return cls._members[value]

    @classmethod
    def all(cls) -> tuple[Api, ...]:
        return tuple(cls._members.values())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        text = core_schema.str_schema()
        return core_schema.no_info_after_validator_function(
            cls, text, serialization=core_schema.plain_serializer_function_ser_schema(str.__str__, return_schema=text)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "examples": [str(member) for member in cls.all()]}


for _name in list(Api.__annotations__):
    if not _name.startswith("_"):
        Api.add(_name)
del _name
