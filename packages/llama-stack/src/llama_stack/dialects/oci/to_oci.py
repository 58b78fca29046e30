"""A chat completion request as the `chatRequest` of Oracle's chat API."""

from __future__ import annotations

from llama_stack.dialects.anthropic.values import Json
from llama_stack.dialects.oci.cohere import cohere_request, cohere_v2_request
from llama_stack.dialects.oci.formats import ApiFormat
from llama_stack.dialects.oci.generic import generic_request
from llama_stack.dialects.oci.parameters import refuse_unknown


def oci_request(chat: Json, *, api_format: ApiFormat) -> Json:
    """`UnsupportedParameter` names what the format cannot say. Where the model runs is the caller's to add."""
    refuse_unknown(chat, api_format)
    match api_format:
        case ApiFormat.GENERIC:
            return generic_request(chat)
        case ApiFormat.COHERE:
            return cohere_request(chat)
        case ApiFormat.COHEREV2:
            return cohere_v2_request(chat)
