"""What a tool raises beyond the common tree.

LlamaStackError
└── Conflict
    └── DefinitionChanged   409 invalid_request_error, tool_definition_changed
"""

from __future__ import annotations

from llama_stack_api.errors import Conflict


class DefinitionChanged(Conflict):
    """The tool is no longer what the model was shown, or what the caller approved; it has not run.

    The loop turns the call into an `mcp_approval_request` whose entry has `pin`, the digest of the tool as it is now.
    """

    default_code = "tool_definition_changed"

    def __init__(self, name: str, pin: str) -> None:
        super().__init__(f"the definition of the tool {name!r} has changed; its call needs an approval")
        self.pin = pin
