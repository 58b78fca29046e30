"""Items, events and replies of ours by chance, made in Python as the server makes them."""

from __future__ import annotations

import json
import random
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

from llama_stack_api.filters import ComparisonFilter, CompoundFilter
from llama_stack_api.openai.moderation import ModerationResult
from llama_stack_api.openai.responses import content, events, hosted_items, items, settings, tools
from tests.support.instances import Maker, Places

InputPart: TypeAlias = content.InputText | content.InputImage | content.InputFile
SpokenPart: TypeAlias = content.OutputText | content.Refusal
Spoken: TypeAlias = SpokenPart | content.ReasoningText

FILTERS: Places = {
    (ComparisonFilter, "type"): Literal["eq"],
    (ComparisonFilter, "value"): str,
    (CompoundFilter, "filters"): list[ComparisonFilter],
}
OURS: Places = {
    **FILTERS,
    (tools.FileSearchTool, "filters"): ComparisonFilter,
    (tools.FunctionTool, "name"): Literal["read_file"],
    (tools.MCPTool, "tunnel_id"): Literal["tunnel_0123456789abcdef0123456789abcdef"],
    (tools.MCPApprovalFilter, "always"): tools.MCPToolFilter,
    (tools.MCPApprovalFilter, "never"): tools.MCPToolFilter,
    (ModerationResult, "category_applied_input_types"): dict[str, list[Literal["text", "image"]]],
    (items.Message, "role"): Literal["assistant"],
    (items.Message, "content"): list[SpokenPart],
    (items.FunctionCallOutput, "output"): str | list[InputPart],
    (items.FunctionCallOutput, "namespace"): Literal["files"],
    (items.CustomToolCallOutput, "output"): str | list[InputPart],
    (items.MCPCall, "error"): items.MCPError,
    (items.AdditionalTools, "role"): Literal["developer"],
    (hosted_items.ComputerCallOutput, "status"): Literal["completed", "incomplete"],
    (hosted_items.ShellCall, "environment"): tools.LocalEnvironment | tools.ContainerReference,
    (events.ContentPartAdded, "part"): Spoken,
    (events.ContentPartDone, "part"): Spoken,
    (settings.PromptReference, "variables"): dict[str, str | InputPart],
}
"""What responses hold, where our types admit more because requests do."""

IN_CONVERSATIONS: Places = {
    **OURS,
    (items.Message, "role"): Literal["user", "assistant", "system", "developer"],
    (items.Message, "content"): list[Spoken | InputPart | content.SummaryText | content.PlainText],
}


def made(model: type[BaseModel], seed: int, places: Places = OURS) -> BaseModel:
    """Every field is set, but for the `type`, which the constructor must know."""
    fields = Maker(random.Random(f"{model.__name__}/{seed}"), places=places).model(model)
    if "type" in fields and model.model_fields["type"].default == fields["type"]:
        del fields["type"]
    return model(**fields)


def sent(reply: BaseModel) -> Any:
    return json.loads(reply.model_dump_json(exclude_unset=True))
