"""Engines of one's own on loopback: what vLLM, llama-server and Hugging Face's servers have beside OpenAI's routes.

Each counts words as tokens, the same way for a prompt that it answers and for one that it is asked to count.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.support.upstream import Recorded, Reply, Upstream
from tests.support.upstream_errors import error
from tests.support.upstream_replies import Say, embeddings, text
from tests.support.upstream_wire import Answer, Wire


def prompt_of(chat: Mapping[str, Any]) -> str:
    """A chat template: tools, then a line for each message, then the begin of the answer."""
    tools = [f"<tool> {json.dumps(tool['function'])}" for tool in chat.get("tools") or ()]
    said = [f"<{message['role']}> {_text(message.get('content'))}" for message in chat["messages"]]
    return "\n".join([*tools, *said, "<assistant>"])


def tokens_of(prompt: str) -> list[int]:
    return list(range(len(prompt.split())))


def _text(content: Any) -> str:
    if isinstance(content, str) or content is None:
        return content or ""
    return " ".join(part.get("text", f"<{part['type']}>") for part in content)


class _Counting(Upstream):
    """An engine whose answers say `self.said`, and cost what their prompt is long."""

    def __init__(self) -> None:
        super().__init__()
        self.said = text("Hello from the engine.")
        self.defaults = {"/v1/chat/completions": self._chat, "/v1/embeddings": embeddings(), **self.routes()}

    def routes(self) -> dict[str, Reply]:
        raise NotImplementedError

    def _chat(self, request: Recorded) -> Answer:
        said: Say = replace(self.said, prompt_tokens=len(tokens_of(prompt_of(request.body))))
        return said(request)


class VLLMUpstream(_Counting):
    """`older`: of before structured_outputs, with the names that it read then."""

    def __init__(self, *, older: bool = False) -> None:
        self.older = older
        super().__init__()

    def routes(self) -> dict[str, Reply]:
        return {"/v1/models": self._models, "/tokenize": self._tokenize, "/v1/chat/completions": self._guided}

    def _models(self, request: Recorded) -> Answer:
        base = {"id": "qwen3", "object": "model", "owned_by": "vllm", "root": "Qwen/Qwen3-8B", "parent": None}
        adapter = {**base, "id": "sql", "root": "/adapters/sql", "parent": "qwen3", "max_model_len": None}
        return Wire().json({"object": "list", "data": [{**base, "max_model_len": 64}, adapter]})

    def _tokenize(self, request: Recorded) -> Answer:
        unknown = set(request.body) - {"model", "messages", "tools", "chat_template_kwargs", "add_generation_prompt"}
        assert not unknown, f"/tokenize was sent {unknown}"
        tokens = tokens_of(prompt_of(request.body))
        return Wire().json({"count": len(tokens), "max_model_len": 64, "tokens": tokens, "token_strs": None})

    def _guided(self, request: Recorded) -> Answer:
        """Of a choice, the last; of a prompt that is too long, nothing."""
        body = request.body
        count = len(tokens_of(prompt_of(body)))
        if count > 64:
            said = f"This model's maximum context length is 64 tokens. However, your request has {count} input tokens."
            return error(400, said, code="400", param="input_tokens")
        if body["model"] not in ("qwen3", "sql"):
            return error(404, f"The model `{body['model']}` does not exist.", shape="flat")
        choices = body.get("guided_choice") if self.older else (body.get("structured_outputs") or {}).get("choice")
        if choices:
            return text(choices[-1], prompt_tokens=count)(request)
        return self._chat(request)


class LlamaServerUpstream(_Counting):
    """`router`: several models, one of which is loaded. `older`: without the routes that count by themselves.
    `loading`: the model is being loaded."""

    def __init__(self, *, router: bool = False, older: bool = False) -> None:
        self.router, self.older, self.loading = router, older, False
        super().__init__()

    def routes(self) -> dict[str, Reply]:
        counting: dict[str, Reply] = {"/v1/chat/completions/input_tokens": self._count}
        return {
            "/v1/models": self._models,
            "/props": self._props,
            "/apply-template": lambda request: Wire().json({"prompt": prompt_of(request.body)}),
            "/tokenize": self._tokenize,
            **({} if self.older else counting),
        }

    def _answer_to(self, request: Recorded) -> Answer:
        if self.loading and request.path != "/v1/models":
            body = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
            return Wire().json(body, 503)
        return super()._answer_to(request)

    def _models(self, request: Recorded) -> Answer:
        meta = {"n_ctx_train": 8192, "n_embd": 576, "n_params": 1, "size": 2}
        if not self.router:
            item = {"id": "smollm2.gguf", "object": "model", "owned_by": "llamacpp", "meta": meta}
            return Wire().json({"models": [], "object": "list", "data": [item]})
        looks = {"input_modalities": ["text", "image"], "output_modalities": ["text"]}
        decides = {"input_modalities": ["text"], "output_modalities": ["decisions"]}
        return Wire().json(
            {
                "object": "list",
                "data": [
                    _routed("gemma/loaded:Q4", "loaded", ["llama-server", "-c", "4096"], architecture=looks, meta=meta),
                    _routed("asleep", "unloaded", ["llama-server"]),
                    _routed("e5", "unloaded", ["llama-server", "--embedding"], meta=meta),
                    _routed("rank", "unloaded", ["llama-server", "--reranking"]),
                    _routed("jury", "unloaded", ["llama-server"], architecture=decides),
                ],
            }
        )

    def _props(self, request: Recorded) -> Answer:
        if self.router:
            assert request.query == {"model": "gemma/loaded:Q4", "autoload": "false"}, "this would load a model"
        settings = {"n_ctx": 4096, "params": {}}
        return Wire().json({"default_generation_settings": settings, "total_slots": 2, "modalities": {"vision": True}})

    def _count(self, request: Recorded) -> Answer:
        tokens = tokens_of(prompt_of(request.body))
        return Wire().json({"object": "response.input_tokens", "input_tokens": len(tokens)})

    def _tokenize(self, request: Recorded) -> Answer:
        assert request.body["add_special"], "as a prompt is read"
        return Wire().json({"tokens": tokens_of(request.body["content"])})


def _routed(name: str, status: str, args: list[str], **members: Any) -> dict[str, Any]:
    return {"id": name, "object": "model", "status": {"value": status, "args": args}, **members}


class TGIUpstream(_Counting):
    def routes(self) -> dict[str, Reply]:
        info = {"model_id": "meta-llama/Llama-3.1-8B-Instruct", "max_input_tokens": 7168, "max_total_tokens": 8192}
        return {"/info": Wire().json(info), "/chat_tokenize": self._tokenize, "/v1/chat/completions": self._checked}

    def _tokenize(self, request: Recorded) -> Answer:
        prompt = prompt_of(request.body)
        tokens = [{"id": at, "text": "?", "start": 0, "stop": 1} for at in tokens_of(prompt)]
        return Wire().json({"tokenize_response": tokens, "templated_text": prompt})

    def _checked(self, request: Recorded) -> Answer:
        form = request.body.get("response_format")
        if form is not None and (form.get("type") not in ("json_object", "json", "regex") or "value" not in form):
            return error(422, "Failed to deserialize the JSON body: response_format", shape="text")
        top_p = request.body.get("top_p")
        if top_p is not None and not 0 < top_p < 1:
            return error(422, "Input validation error: `top_p` must be > 0.0 and < 1.0", shape="typed")
        return self._chat(request)


class TEIUpstream(Upstream):
    """Vectors of 8 numbers, for texts of at most 8 words."""

    def __init__(self) -> None:
        super().__init__()
        kind = {"embedding": {"pooling": "cls"}}
        model = {"model_id": "BAAI/bge-small-en-v1.5", "max_input_length": 8, "model_type": kind}
        info = {**model, "max_client_batch_size": 4}
        self.defaults = {
            "/info": Wire().json(info),
            "/embed": self._embed,
            "/v1/embeddings": embeddings(),
        }

    def _embed(self, request: Recorded) -> Answer:
        unknown = set(request.body) - {
            "inputs", "truncate", "truncation_direction", "prompt_name", "normalize", "dimensions",
        }  # fmt: skip
        assert not unknown, f"/embed was sent {unknown}"
        if len(request.body["inputs"]) > 4:
            said = f"batch size {len(request.body['inputs'])} > maximum allowed batch size 4"
            return error(422, said, shape="typed", code="Validation")
        lengths = [len(one.split()) for one in request.body["inputs"]]
        if max(lengths) > 8 and not request.body.get("truncate"):
            said = f"Input validation error: `inputs` must have less than 8 tokens. Given: {max(lengths)}"
            return error(413, said, shape="typed", code="Validation")
        counted = sum(min(length, 8) for length in lengths)
        answer = embeddings()(request)
        return replace(answer, headers={**answer.headers, "x-compute-tokens": str(counted)})
