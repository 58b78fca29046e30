"""Prompt templates: kept by version for their owner, and filled in for a response that names one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llama_stack.storage.sql.prompts import PromptStore
from llama_stack_api.errors import InvalidRequest, NotFound
from llama_stack_api.openai.responses.content import InputFile, InputImage, InputText
from llama_stack_api.openai.responses.settings import PromptReference, PromptVariable
from llama_stack_api.principal import Call, Principal
from llama_stack_api.prompts import (
    CreatePromptRequest,
    ListPromptsResponse,
    Prompt,
    SetDefaultVersionRequest,
    UpdatePromptRequest,
)

VARIABLES_MAX = 256
NAME_CHARS_MAX = 128

_NAME = re.compile(r"\w+")
_USE = re.compile(r"{{\s*(\w+)\s*}}")


@dataclass(frozen=True, slots=True)
class ResolvedPrompt:
    """`text` has the variables in it; where one is an image or a file, its name stands there in brackets, and `parts`
    holds it as a content part of a message, in the order of the text."""

    text: str
    parts: list[dict[str, Any]] = field(default_factory=list)


class PromptService:
    def __init__(self, store: PromptStore) -> None:
        self._store = store

    async def list_prompts(self, call: Call) -> ListPromptsResponse:
        """The default version of each."""
        return ListPromptsResponse(data=await self._store.list(call.principal))

    async def create(self, request: CreatePromptRequest, call: Call) -> Prompt:
        variables = _declared(request.prompt, request.variables)
        return await self._store.create(call.principal, request.prompt, variables)

    async def get(self, prompt_id: str, version: int | None, call: Call) -> Prompt:
        return await self._store.get(call.principal, prompt_id, version)

    async def versions(self, prompt_id: str, call: Call) -> ListPromptsResponse:
        return ListPromptsResponse(data=list(await self._store.versions(call.principal, prompt_id)))

    async def update(self, request: UpdatePromptRequest, call: Call) -> Prompt:
        """A version more. `Conflict` if `request.version` is not the latest any more."""
        variables = _declared(request.prompt, request.variables)
        return await self._store.update(
            call.principal,
            request.prompt_id,
            request.version,
            request.prompt,
            variables,
            default=request.set_as_default,
        )

    async def set_default_version(self, request: SetDefaultVersionRequest, call: Call) -> Prompt:
        return await self._store.set_default(call.principal, request.prompt_id, request.version)

    async def delete(self, prompt_id: str, call: Call) -> None:
        await self._store.delete(call.principal, prompt_id)

    async def resolve(self, principal: Principal, reference: PromptReference) -> ResolvedPrompt:
        """`NotFound` for what the principal does not have, `InvalidRequest` for variables that do not fit."""
        try:
            prompt = await self._store.get(principal, reference.id, _version(reference))
        except NotFound as error:
            param = "prompt.version" if error.param == "version" else "prompt.id"
            raise NotFound(error.message, param=param, code="prompt_not_found") from None
        text, variables = prompt.prompt or "", reference.variables or {}
        _check_given(variables, used=_used(text), declared=prompt.variables)
        return _filled(text, variables)


def _declared(text: str, variables: Sequence[str] | None) -> list[str]:
    """The variables, each once. `InvalidRequest` if the text uses others."""
    names = list(dict.fromkeys(variables or ()))
    if len(names) > VARIABLES_MAX:
        raise InvalidRequest(f"a prompt has at most {VARIABLES_MAX} variables", param="variables")
    for name in names:
        if len(name) > NAME_CHARS_MAX or not _NAME.fullmatch(name):
            raise InvalidRequest(
                f"a variable's name has 1 to {NAME_CHARS_MAX} letters, digits and underscores, unlike "
                f"{name[:NAME_CHARS_MAX]!r}",
                param="variables",
            )
    if undeclared := [name for name in _used(text) if name not in names]:
        raise InvalidRequest(
            f"the prompt uses variables that `variables` does not declare: {', '.join(undeclared)[:1000]}",
            param="variables",
        )
    return names


def _used(text: str) -> list[str]:
    return list(dict.fromkeys(_USE.findall(text)))


def _version(reference: PromptReference) -> int | None:
    if reference.version is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,8}", reference.version):
        raise InvalidRequest(
            f"a version is a number, such as '1', unlike {reference.version[:100]!r}", param="prompt.version"
        )
    return int(reference.version)


def _check_given(given: Mapping[str, object], *, used: Sequence[str], declared: Sequence[str]) -> None:
    missing = [name for name in used if name not in given]
    unknown = [name for name in given if name not in declared]
    if missing or unknown:
        wrong = f"missing: {', '.join(missing)}" if missing else f"not in the prompt: {', '.join(unknown)[:1000]}"
        raise InvalidRequest(f"the variables do not fit the prompt; {wrong}", param="prompt.variables")


def _filled(text: str, variables: Mapping[str, PromptVariable]) -> ResolvedPrompt:
    parts: dict[str, dict[str, Any]] = {}

    def value(match: re.Match[str]) -> str:
        name = match[1]
        variable = variables[name]
        if isinstance(variable, str):
            return variable
        if isinstance(variable, InputText):
            return variable.text
        parts[name] = _part(name, variable)
        return f"[{name}]"

    return ResolvedPrompt(_USE.sub(value, text), list(parts.values()))


def _part(name: str, variable: object) -> dict[str, Any]:
    if isinstance(variable, InputImage):
        return {"detail": "auto", **variable.model_dump(mode="json", exclude_unset=True)}
    if isinstance(variable, InputFile):
        return variable.model_dump(mode="json", exclude_unset=True)
    raise InvalidRequest(
        "a variable is a text, an image (input_image) or a file (input_file)", param=f"prompt.variables.{name}"
    )
