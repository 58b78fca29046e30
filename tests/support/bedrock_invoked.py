"""Embedding models and rerankers of Bedrock, by InvokeModel: each family takes what its documents say, and no more.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html, …-embed-v3.html,
…-embed-v4.html, https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html
"""

from __future__ import annotations

from typing import Any

from tests.support.anthropic_upstream_contract import Violation
from tests.support.upstream import Recorded
from tests.support.upstream_replies import embeddings, ranking
from tests.support.upstream_wire import Answer, Wire

COHERE_TEXTS_MAX = 96
_TOKENS = "x-amzn-bedrock-input-token-count"


def invoked(model: str, request: Recorded) -> Answer:
    body = request.body
    if not isinstance(body, dict):
        raise Violation("Malformed input request")
    name = model.removeprefix("us.").removeprefix("global.")
    if ".rerank" in name:
        return _ranked(name, body, request)
    if name.startswith("cohere.embed"):
        return _cohere(name, body)
    if name.startswith("amazon.titan-embed-image"):
        _only(body, {"inputText", "inputImage", "embeddingConfig"})
        return _titan(body, (body.get("embeddingConfig") or {}).get("outputEmbeddingLength", 1024), (256, 384, 1024))
    if name.startswith("amazon.titan-embed-text-v2"):
        _only(body, {"inputText", "dimensions", "normalize", "embeddingTypes"})
        return _titan(body, body.get("dimensions", 1024), (256, 512, 1024))
    if name.startswith("amazon.titan-embed"):
        _only(body, {"inputText"})
        return _titan(body, 1536, (1536,))
    return _nova(body)


def _titan(body: dict[str, Any], dimension: int, known: tuple[int, ...]) -> Answer:
    text = body.get("inputText")
    if not isinstance(text, str) or not text or dimension not in known:
        raise Violation("Malformed input request: #/inputText or #/dimensions")
    return Wire().json({"embedding": embeddings().vector(text, dimension), "inputTextTokenCount": 3, "message": None})


def _cohere(name: str, body: dict[str, Any]) -> Answer:
    v4 = "v4" in name
    _only(body, {"texts", "input_type", "embedding_types", "truncate", *(("output_dimension",) if v4 else ())})
    texts = body.get("texts")
    if not isinstance(texts, list) or not 0 < len(texts) <= COHERE_TEXTS_MAX or "input_type" not in body:
        raise Violation(f"texts: from 1 to {COHERE_TEXTS_MAX} are taken; input_type: required")
    dimension = body.get("output_dimension", 1536 if v4 else 1024)
    found: Any = [embeddings().vector(text, dimension) for text in texts]
    by_type = {"float": found} if body.get("embedding_types") else found
    kind = "embeddings_by_type" if body.get("embedding_types") else "embeddings_floats"
    reply = {"id": "e-1", "texts": texts, "embeddings": by_type, "response_type": kind}
    return Wire().json(reply, headers={_TOKENS: str(3 * len(texts))})


def _nova(body: dict[str, Any]) -> Answer:
    _only(body, {"schemaVersion", "taskType", "singleEmbeddingParams"})
    asked = body.get("singleEmbeddingParams") or {}
    _only(asked, {"embeddingPurpose", "embeddingDimension", "text"})
    text, dimension = asked.get("text") or {}, asked.get("embeddingDimension", 3072)
    if body.get("taskType") != "SINGLE_EMBEDDING" or "embeddingPurpose" not in asked or not text.get("value"):
        raise Violation("taskType, embeddingPurpose and text.value are required")
    if text.get("truncationMode") not in ("START", "END", "NONE") or dimension not in (256, 384, 1024, 3072):
        raise Violation("text.truncationMode or embeddingDimension is not known")
    vector = embeddings().vector(text["value"], dimension)
    reply = {"embeddings": [{"embeddingType": "TEXT", "embedding": vector}]}
    return Wire().json(reply, headers={_TOKENS: "3"})


def _ranked(name: str, body: dict[str, Any], request: Recorded) -> Answer:
    cohere = name.startswith("cohere.")
    _only(body, {"query", "documents", "top_n", *(("api_version", "max_tokens_per_doc") if cohere else ())})
    if cohere and body.get("api_version") != 2:
        raise Violation("api_version: required")
    if not body.get("query") or not body.get("documents"):
        raise Violation("query and documents are required")
    return ranking()(request)


def _only(body: dict[str, Any], known: set[str]) -> None:
    for name in body:
        if name not in known:
            raise Violation(f"Malformed input request: #: extraneous key [{name}] is not permitted")
