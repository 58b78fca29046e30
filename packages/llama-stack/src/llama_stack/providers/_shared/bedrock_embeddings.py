"""Embeddings of Bedrock's models, each family in words of its own, by InvokeModel.

    Titan Text v1, v2       one text a call; `dimensions` from v2
    Titan Multimodal        one text a call; `dimensions`
    Nova                    one text a call; `dimensions`; the purpose is to be indexed
    Cohere v3, v4           96 texts a call; `dimensions` from v4; as documents that are searched

Members beyond OpenAI's go to the model as they are (Cohere's `input_type`, `truncate`; Titan's `normalize`; Nova's
`embeddingPurpose`). Of texts that take a call each, a few are asked about at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from llama_stack.dialects.converse.families import foundation_of
from llama_stack.providers._shared.bedrock_upstream import BedrockUpstream
from llama_stack.providers._shared.vectors_reply import vectors_reply
from llama_stack_api.errors import InvalidRequest, NotImplementedByProvider, ProviderError, UnsupportedParameter
from llama_stack_api.openai.embeddings import EmbeddingsRequest, EmbeddingsResponse
from llama_stack_api.principal import Call
from llama_stack_api.wire import EncodedReply

AT_ONCE: Final = 8
COHERE_TEXTS_MAX: Final = 96
_TOKENS_HEADER: Final = "x-amzn-bedrock-input-token-count"


class InvokedEmbeddings(BedrockUpstream):
    async def openai_embeddings(self, params: EmbeddingsRequest, call: Call) -> EncodedReply[EmbeddingsResponse]:
        foundation = await self.foundation(params.model, call) or foundation_of(params.model)
        texts = _texts(params)
        size = COHERE_TEXTS_MAX if foundation.startswith("cohere.") else 1
        bodies = [_body(foundation, texts[at : at + size], params) for at in range(0, len(texts), size)]
        url, free = self.model_url(params.model, "invoke", call), asyncio.Semaphore(AT_ONCE)

        async def invoked(body: Mapping[str, Any]) -> tuple[list[list[float]], int]:
            async with free:
                reply = await self.post(url, msgspec.json.encode(body), call)
                counted = reply.headers.get(_TOKENS_HEADER, "")
                return _vectors(await self.decoded(reply), counted, self.name)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(invoked(body)) for body in bodies]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        answers = [task.result() for task in tasks]
        vectors = [vector for found, _ in answers for vector in found]
        if len(vectors) != len(texts):
            raise ProviderError(f"Provider '{self.name}' answered {len(texts)} texts with {len(vectors)} vectors.")
        return vectors_reply(vectors, params, sum(tokens for _, tokens in answers), self.name)


def _texts(params: EmbeddingsRequest) -> list[str]:
    texts = [params.input] if isinstance(params.input, str) else params.input
    for text in texts:
        if not isinstance(text, str):
            raise InvalidRequest(
                "'input' holds token ids. Bedrock takes text (in LangChain: check_embedding_ctx_length=False).",
                param="input",
            )
    return [text for text in texts if isinstance(text, str)]


def _body(model: str, texts: Sequence[str], params: EmbeddingsRequest) -> dict[str, Any]:
    more = params.model_extra or {}
    if model.startswith("cohere.embed"):
        body: dict[str, Any] = {"texts": list(texts), "input_type": "search_document", "embedding_types": ["float"]}
        return {**body, **_dimensions(params, "output_dimension", "v4" in model), **more}
    if model.startswith("amazon.titan-embed-text-v2"):
        return {"inputText": texts[0], **_dimensions(params, "dimensions", True), **more}
    if model.startswith("amazon.titan-embed-image"):
        config = _dimensions(params, "outputEmbeddingLength", True)
        return {"inputText": texts[0], **({"embeddingConfig": config} if config else {}), **more}
    if model.startswith("amazon.titan-embed"):
        return {"inputText": texts[0], **_dimensions(params, "dimensions", False), **more}
    if model.startswith("amazon.nova") and "embed" in model:
        asked = {"embeddingPurpose": "GENERIC_INDEX", **_dimensions(params, "embeddingDimension", True), **more}
        asked["text"] = {"truncationMode": "END", "value": texts[0]}
        return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": asked}
    raise NotImplementedByProvider(f"'{params.model}' is no embedding model of Titan, Nova or Cohere.", param="model")


def _dimensions(params: EmbeddingsRequest, name: str, can: bool) -> dict[str, int]:
    if params.dimensions is None:
        return {}
    if not can:
        raise UnsupportedParameter(
            f"Model '{params.model}' makes vectors of one length; leave out 'dimensions'.", param="dimensions"
        )
    return {name: params.dimensions}


def _vectors(answer: Any, counted: str, provider: str) -> tuple[list[list[float]], int]:
    """The vectors of one call, and its tokens as far as it told."""
    try:
        tokens = int(counted) if counted.isdecimal() else int(answer.get("inputTextTokenCount") or 0)
        if "embedding" in answer:
            return [answer["embedding"]], tokens
        found = answer["embeddings"]
        if isinstance(found, dict):
            found = found["float"]
        return [each["embedding"] if isinstance(each, dict) else each for each in found], tokens
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ProviderError(f"Provider '{provider}' answered with something that is no embedding.") from None
