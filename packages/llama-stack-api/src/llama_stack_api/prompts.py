"""Prompt templates, by version."""

from __future__ import annotations

import re
import secrets
from typing import Annotated, Protocol, Self, TypeAlias, runtime_checkable

from pydantic import Field, StringConstraints, model_validator

from llama_stack_api.base import WireModel

PromptId: TypeAlias = Annotated[str, StringConstraints(pattern=r"^pmpt_[0-9a-f]{48}$")]


class Prompt(WireModel):
    """A template. `{{name}}` stands for the variable `name`, which must be one of `variables`."""

    prompt_id: PromptId
    prompt: str | None = None
    version: int = Field(ge=1)
    variables: list[str] = Field(default_factory=list)
    is_default: bool = False

    @model_validator(mode="after")
    def _variables_are_declared(self) -> Self:
        used = set(re.findall(r"{{\s*(\w+)\s*}}", self.prompt or ""))
        if undeclared := sorted(used - set(self.variables)):
            raise ValueError(f"the prompt uses variables that are not declared: {', '.join(undeclared)}")
        return self

    @classmethod
    def generate_prompt_id(cls) -> str:
        return f"pmpt_{secrets.token_hex(24)}"


class ListPromptsResponse(WireModel):
    data: list[Prompt]


class CreatePromptRequest(WireModel):
    prompt: str
    variables: list[str] | None = None


class GetPromptRequest(WireModel):
    """The default version where none is given."""

    prompt_id: str
    version: int | None = None


class UpdatePromptRequest(WireModel):
    """`version` is the one that the caller has read; another present version is a conflict."""

    prompt_id: str
    prompt: str
    version: int
    variables: list[str] | None = None
    set_as_default: bool = True


class DeletePromptRequest(WireModel):
    prompt_id: str


class ListPromptVersionsRequest(WireModel):
    prompt_id: str


class SetDefaultVersionRequest(WireModel):
    prompt_id: str
    version: int


@runtime_checkable
class Prompts(Protocol):
    async def list_prompts(self) -> ListPromptsResponse: ...

    async def list_prompt_versions(self, request: ListPromptVersionsRequest) -> ListPromptsResponse: ...

    async def get_prompt(self, request: GetPromptRequest) -> Prompt: ...

    async def create_prompt(self, request: CreatePromptRequest) -> Prompt: ...

    async def update_prompt(self, request: UpdatePromptRequest) -> Prompt: ...

    async def delete_prompt(self, request: DeletePromptRequest) -> None: ...

    async def set_default_version(self, request: SetDefaultVersionRequest) -> Prompt: ...
