"""A chat completion request as the `chatRequest` of Oracle's chat API."""

from __future__ import annotations

from llama_stack.dialects.chat.history import with_function_calls
from llama_stack.dialects.chat.requests import NOT_THE_MODELS, refuse_unknown
from llama_stack.dialects.chat.values import Json
from llama_stack.dialects.oci.cohere import cohere_request, cohere_v2_request
from llama_stack.dialects.oci.formats import ApiFormat
from llama_stack.dialects.oci.generic import generic_request
from llama_stack.dialects.oci.parameters import KNOWN


def oci_request(chat: Json, *, api_format: ApiFormat) -> Json:
    """`UnsupportedParameter` names what the format cannot say. Where the model runs is the caller's to add."""
    refuse_unknown(chat, KNOWN[api_format] | NOT_THE_MODELS, f"Oracle's {api_format} API")
    chat = {**chat, "messages": with_function_calls(chat.get("messages"))}
    match api_format:
        case ApiFormat.GENERIC:
            return generic_request(chat)
        case ApiFormat.COHERE:
            return cohere_request(chat)
        case ApiFormat.COHEREV2:
            return cohere_v2_request(chat)
