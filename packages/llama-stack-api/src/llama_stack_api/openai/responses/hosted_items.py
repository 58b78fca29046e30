"""Items of tools that work on a machine: computer, shell, patches, code interpreter, image generation, programs.

The small unions in them are one type each, whose `type` says which fields are there: we carry them, and run none.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from llama_stack_api.base import Integer, WireModel
from llama_stack_api.openai.responses.content import ComputerScreenshot
from llama_stack_api.openai.responses.item_base import BaseItem, ItemStatus, ToolCaller
from llama_stack_api.openai.responses.tools import Environment, Secret


class Point(WireModel):
    """In pixels, from the left and from the top."""

    x: Integer
    y: Integer


class ComputerAction(WireModel):
    """`x`, `y`, `path` and `scroll_…` are in pixels; `keys` are held down, or for `keypress` pressed."""

    type: Literal["click", "double_click", "drag", "keypress", "move", "screenshot", "scroll", "type", "wait"] | str
    button: Literal["left", "right", "wheel", "back", "forward"] | str | None = None
    x: Integer | None = None
    y: Integer | None = None
    scroll_x: Integer | None = None
    scroll_y: Integer | None = None
    path: list[Point] | None = None
    keys: list[str] | None = None
    text: str | None = None


class SafetyCheck(WireModel):
    """A doubt about a computer's action, which the caller must acknowledge."""

    id: str
    code: str | None = None
    message: str | None = None


class ComputerCall(BaseItem):
    type: Literal["computer_call"] = "computer_call"
    call_id: str
    action: ComputerAction | None = None
    actions: list[ComputerAction] | None = None
    pending_safety_checks: list[SafetyCheck] = Field(default_factory=list)
    status: ItemStatus | None = None


class ComputerCallOutput(BaseItem):
    type: Literal["computer_call_output"] = "computer_call_output"
    call_id: str
    output: ComputerScreenshot
    acknowledged_safety_checks: list[SafetyCheck] | None = None
    status: Literal["in_progress", "completed", "incomplete", "failed"] | str | None = None
    created_by: str | None = None


class ImageGenerationCall(BaseItem):
    """`result` is the image in base64."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset({"result"})

    type: Literal["image_generation_call"] = "image_generation_call"
    status: Literal["in_progress", "generating", "completed", "failed"] | str | None = None
    result: str | None = None


class CodeInterpreterOutput(WireModel):
    """`logs`, or an `image` by its `url`."""

    type: Literal["logs", "image"] | str
    logs: str | None = None
    url: str | None = None


class CodeInterpreterCall(BaseItem):
    nulls_sent: ClassVar[frozenset[str]] = frozenset({"code", "outputs"})

    type: Literal["code_interpreter_call"] = "code_interpreter_call"
    container_id: str | None = None
    code: str | None = None
    outputs: list[CodeInterpreterOutput] | None = None
    status: Literal["in_progress", "interpreting", "completed", "incomplete", "failed"] | str | None = None


class LocalShellAction(WireModel):
    type: Literal["exec"] | str = "exec"
    command: list[str]
    env: dict[str, Secret] = Field(default_factory=dict)
    timeout_ms: Integer | None = None
    user: str | None = None
    working_directory: str | None = None


class LocalShellCall(BaseItem):
    type: Literal["local_shell_call"] = "local_shell_call"
    call_id: str
    action: LocalShellAction
    status: ItemStatus | None = None


class LocalShellCallOutput(BaseItem):
    """`output` is JSON. The contract requires a `call_id` that it does not describe."""

    type: Literal["local_shell_call_output"] = "local_shell_call_output"
    call_id: str | None = None
    output: str
    status: ItemStatus | None = None


class ShellAction(WireModel):
    """`max_output_length` is in characters, for stdout and stderr together."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset({"timeout_ms", "max_output_length"})

    commands: list[str]
    timeout_ms: Integer | None = None
    max_output_length: Integer | None = None


class ShellCall(BaseItem):
    nulls_sent: ClassVar[frozenset[str]] = frozenset({"environment"})

    type: Literal["shell_call"] = "shell_call"
    call_id: str
    action: ShellAction
    caller: ToolCaller | None = None
    environment: Environment | None = None
    status: ItemStatus | None = None
    created_by: str | None = None


class ShellOutcome(WireModel):
    type: Literal["exit", "timeout"] | str
    exit_code: Integer | None = None


class ShellOutput(WireModel):
    """What one command wrote."""

    stdout: str
    stderr: str
    outcome: ShellOutcome
    created_by: str | None = None


class ShellCallOutput(BaseItem):
    nulls_sent: ClassVar[frozenset[str]] = frozenset({"max_output_length"})

    type: Literal["shell_call_output"] = "shell_call_output"
    call_id: str
    output: list[ShellOutput]
    max_output_length: Integer | None = None
    caller: ToolCaller | None = None
    status: ItemStatus | None = None
    created_by: str | None = None


class PatchOperation(WireModel):
    """`diff` is there unless the file is deleted."""

    type: Literal["create_file", "update_file", "delete_file"] | str
    path: str
    diff: str | None = None


class ApplyPatchCall(BaseItem):
    type: Literal["apply_patch_call"] = "apply_patch_call"
    call_id: str
    operation: PatchOperation
    caller: ToolCaller | None = None
    status: Literal["in_progress", "completed"] | str | None = None
    created_by: str | None = None


class ApplyPatchCallOutput(BaseItem):
    type: Literal["apply_patch_call_output"] = "apply_patch_call_output"
    call_id: str
    output: str | None = None
    caller: ToolCaller | None = None
    status: Literal["completed", "failed"] | str | None = None
    created_by: str | None = None


class Program(BaseItem):
    """A program of the model that calls tools. `fingerprint` is opaque and must come back unchanged."""

    type: Literal["program"] = "program"
    call_id: str
    code: str
    fingerprint: str


class ProgramOutput(BaseItem):
    type: Literal["program_output"] = "program_output"
    call_id: str
    result: str
    status: Literal["completed", "incomplete"] | str | None = None
