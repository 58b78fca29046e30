"""Errors under the names and with the arguments that packages written for `llama-stack-api` 0.7 use.

Each is a branch of the one tree in `llama_stack_api.errors`; new code raises from there.
"""

from __future__ import annotations

from llama_stack_api import errors
from llama_stack_api.errors import LlamaStackError

__all__ = [
    "LlamaStackError", "ResourceNotFoundError", "ModelNotFoundError", "VectorStoreNotFoundError",
    "ToolGroupNotFoundError", "ConversationNotFoundError", "ConversationItemNotFoundError", "ConnectorNotFoundError",
    "ConnectorToolNotFoundError", "OpenAIFileObjectNotFoundError", "BatchNotFoundError", "ResponseNotFoundError",
    "UnsupportedModelError", "ModelTypeError", "InvalidParameterError", "ConflictError", "TokenValidationError",
    "ServiceNotEnabledError", "InternalServerError",
]  # fmt: skip


class ResourceNotFoundError(errors.NotFound):
    def __init__(
        self,
        resource_name: str,
        resource_type: str = "Resource",
        client_command: str | None = None,
        client_command_args: list[str] | str | None = None,
        resource_name_plural: str | None = None,
    ) -> None:
        message = f"{resource_type} {resource_name!r} not found."
        if client_command:
            names = [client_command_args] if isinstance(client_command_args, str) else client_command_args or []
            arguments = ", ".join(repr(name) for name in names)
            message += f" List {resource_name_plural or resource_type + 's'} by client.{client_command}({arguments})."
        super().__init__(message)


class ModelNotFoundError(errors.ModelNotFound):
    def __init__(self, model_name: str) -> None:
        super().__init__(f"Model {model_name!r} not found. List models by client.models.list().", param="model")


class VectorStoreNotFoundError(ResourceNotFoundError):
    def __init__(self, vector_store_name: str) -> None:
        super().__init__(vector_store_name, "Vector store", "vector_stores.list")


class ToolGroupNotFoundError(ResourceNotFoundError):
    def __init__(self, toolgroup_name: str) -> None:
        super().__init__(toolgroup_name, "Tool group", "tools.list", resource_name_plural="tools")


class ConversationNotFoundError(ResourceNotFoundError):
    def __init__(self, conversation_id: str) -> None:
        super().__init__(conversation_id, "Conversation")


class ConversationItemNotFoundError(errors.NotFound):
    def __init__(self, item_id: str, conversation_id: str) -> None:
        super().__init__(f"Item {item_id!r} not found in conversation {conversation_id!r}.")


class ConnectorNotFoundError(ResourceNotFoundError):
    def __init__(self, connector_id: str) -> None:
        super().__init__(connector_id, "Connector", "connectors.list")


class ConnectorToolNotFoundError(ResourceNotFoundError):
    def __init__(self, connector_id: str, tool_name: str) -> None:
        super().__init__(f"{connector_id}.{tool_name}", "Connector tool", "connectors.list_tools", connector_id)


class OpenAIFileObjectNotFoundError(ResourceNotFoundError):
    def __init__(self, file_id: str) -> None:
        super().__init__(file_id, "File", "files.list")


class BatchNotFoundError(ResourceNotFoundError):
    def __init__(self, batch_id: str) -> None:
        super().__init__(batch_id, "Batch", "batches.list", resource_name_plural="batches")


class ResponseNotFoundError(ResourceNotFoundError):
    def __init__(self, response_id: str) -> None:
        super().__init__(response_id, "Response")


class UnsupportedModelError(errors.InvalidRequest):
    def __init__(self, model_name: str, supported_models_list: list[str]) -> None:
        supported = ", ".join(supported_models_list)
        super().__init__(f"Model {model_name!r} is not supported; supported are: {supported}.", param="model")


class ModelTypeError(errors.InvalidRequest):
    def __init__(self, model_name: str, model_type: str, expected_model_type: str) -> None:
        super().__init__(
            f"Model {model_name!r} is of type {model_type!r}; this needs one of type {expected_model_type!r}.",
            param="model",
        )


class InvalidParameterError(errors.InvalidRequest, ValueError):
    def __init__(self, param_name: str, value: object, constraint: str) -> None:
        super().__init__(f"Invalid value for {param_name!r}: {value!r}. {constraint}", param=param_name)


class ConflictError(errors.Conflict):
    pass


class TokenValidationError(errors.Unauthenticated):
    pass


class ServiceNotEnabledError(errors.Overloaded, ValueError):
    """503: the request needs an API that the run config does not serve."""

    def __init__(self, service_name: str, *, provider_specific_message: str | None = None) -> None:
        message = f"{service_name} is not enabled; add a provider for it to the run config."
        super().__init__(message + (f" {provider_specific_message}" if provider_specific_message else ""))


class InternalServerError(LlamaStackError):
    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or "An internal error occurred.")
