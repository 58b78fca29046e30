"""Requests made up from /openapi.json, right and wrong ones: no server error, and replies as the document says.

The same few each time; `schemathesis run http://…/openapi.json` against a server tries as many as one likes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import TypeAdapter
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from llama_stack_api.anthropic.events import MessageStreamEvent
from llama_stack_api.openai.chat import ChatCompletionChunk
from llama_stack_api.openai.completions import Completion
from llama_stack_api.openai.responses.events import ResponseStreamEvent
from tests.support.edge import CHAT, client
from tests.support.mcp_server import LoopbackMcp
from tests.support.responding import RESPONSES
from tests.support.server import Running
from tests.support.upstream import Answer, Recorded, Upstream, embeddings, error
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio

EXAMPLES = 6
WAIT_S = 20.0
DIMENSIONS_MAX = 4096
AS_DOCUMENTED = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
CHECKS = {
    GenerationMode.POSITIVE: AS_DOCUMENTED,
    GenerationMode.NEGATIVE: [*AS_DOCUMENTED, negative_data_rejection],
}
KINDS = {"talk": "llm", "embed": "embedding", "order": "rerank"}
MODELS = {
    CHAT: "up/talk",
    "/v1/completions": "up/talk",
    RESPONSES: "up/talk",
    f"{RESPONSES}/compact": "up/talk",
    f"{RESPONSES}/input_tokens": "up/talk",
    "/v1/messages": "up/talk",
    "/v1/messages/count_tokens": "up/talk",
    "/v1/embeddings": "up/embed",
    "/v1/moderations": "pii",
    "/v1alpha/inference/rerank": "up/order",
}
NAMED = {"/v1/batches": "input_file_id", "/v1/safety/run-shield": "shield_id"}
"""What a made-up request is to name that is there."""
KEPT_OF_MESSAGES = ("model", "metadata", "stop_sequences", "stream", "temperature", "top_p")
OF_STORED = ("previous_response_id", "conversation", "prompt", "guardrails", "moderation")
"""What a made-up request names is not there."""
NEVER_SERVED = {
    "/v1/batches/{batch_id}/cancel",
    "/v1/prompts/{prompt_id}/set-default-version",
    "/v1/responses/{response_id}/cancel",
    "/v1/uploads",
    "/v1/uploads/{upload_id}/complete",
    "/v1/vector-io/insert",
    "/v1alpha/file-processors/process",
}
"""The version that there is is not hit upon by chance, the batch and the response have ended, and neither sizes, parts
and embeddings nor files fit what they are for."""
JUDGED_LATER = {"/v1/messages/batches"}
"""Of what a batch is asked, each request is judged when its turn comes, and wrong ones are errors among its results."""
BY_CHANCE = {"/v1/vector_stores/{vector_store_id}/file_batches"}
"""Served or not, as the files and the store that a made-up request names happen to be there still."""
EVENTS: dict[str, Any] = {
    CHAT: ChatCompletionChunk,
    "/v1/completions": Completion,
    RESPONSES: ResponseStreamEvent,
    "/v1/messages": MessageStreamEvent,
    f"{RESPONSES}/{{response_id}}": ResponseStreamEvent,
}


def embedded(request: Recorded) -> Answer:
    """Refuses what no provider would serve: billions of dimensions."""
    if (request.body.get("dimensions") or 0) > DIMENSIONS_MAX:
        return error(400, "That many dimensions there are not.", param="dimensions")
    return embeddings()(request)


@pytest.fixture(name="server")
async def _server(tmp_path: Path) -> AsyncIterator[Running]:
    with Upstream() as up, LoopbackMcp() as mcp:
        up.always(embedded, on="/embeddings")
        provider = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": up.base_url}}
        models = [
            {"model_id": name, "provider_id": "up", "model_type": kind, "model_validation": False}
            for name, kind in KINDS.items()
        ]
        resources = {
            "models": models,
            "shields": [{"shield_id": "pii", "provider_id": "pii"}],
            "tool_groups": [{"toolgroup_id": "mcp::loop", "provider_id": "mcp", "mcp_endpoint": {"uri": mcp.url}}],
        }
        sections: dict[str, Any] = {
            "providers": {
                "inference": [provider],
                "tool_runtime": [{"provider_id": "mcp", "provider_type": "remote::model-context-protocol"}],
                "files": [
                    {
                        "provider_id": "localfs",
                        "provider_type": "inline::localfs",
                        "config": {"storage_dir": str(tmp_path / "files")},
                    }
                ],
                "file_processors": [{"provider_id": "auto", "provider_type": "inline::auto"}],
                "safety": [{"provider_id": "pii", "provider_type": "inline::pii"}],
                "vector_io": [{"provider_id": "faiss", "provider_type": "inline::faiss"}],
            },
            "vector_stores": {"default_embedding_model": {"provider_id": "up", "model_id": "embed"}},
            "registered_resources": resources,
            "connectors": [{"connector_id": "loop", "url": mcp.url}],
        }
        async with whole_stack(tmp_path, [], [], **sections) as server:
            yield server


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
async def test_made_up_requests(server: Running, mode: GenerationMode) -> None:
    async with client(server) as http:
        document = (await http.get("/openapi.json")).json()
        question = {"model": "up/talk", "messages": [{"role": "user", "content": "Hello"}], "store": True}
        stored = (await http.post(CHAT, json=question)).json()["id"]
        known = {
            **{"completion_id": stored, "model_id": "up/talk", "provider_id": "up"},
            **{"identifier": "pii", "shield_id": "pii"},
            **await made(http),
            **await made_batches(http),
        }
    trial = Trial(server.url, known, mode)
    await asyncio.to_thread(trial.run, document)
    wanted = 200 if mode is GenerationMode.POSITIVE else 400
    assert {path for path in MODELS if wanted in trial.statuses[path]} == set(MODELS)
    if mode is GenerationMode.POSITIVE:
        served = {path for path, statuses in trial.statuses.items() if statuses & {200, 201, 204}}
        assert served - BY_CHANCE == set(document["paths"]) - NEVER_SERVED - BY_CHANCE


async def made(http: httpx.AsyncClient) -> dict[str, str]:
    """The ids of one of each of what clients make."""
    said = {"type": "message", "role": "user", "content": "Hello"}
    conversation = (await http.post("/v1/conversations", json={"items": [said]})).json()["id"]
    items = (await http.get(f"/v1/conversations/{conversation}/items")).json()["data"]
    form = {"file": ("a.txt", b"A text.")}
    file = (await http.post("/v1/files", data={"purpose": "assistants"}, files=form)).json()["id"]
    store = (await http.post("/v1/vector_stores", json={})).json()["id"]
    batch = (await http.post(f"/v1/vector_stores/{store}/file_batches", json={"file_ids": [file]})).json()["id"]
    announced = {"filename": "a", "purpose": "assistants", "bytes": 1, "mime_type": "text/plain"}
    return {
        "file_id": file,
        "vector_store_id": store,
        "batch_id": batch,
        "upload_id": (await http.post("/v1/uploads", json=announced)).json()["id"],
        "connector_id": "loop",
        "tool_name": "add",
        "conversation_id": conversation,
        "item_id": items[0]["id"],
        "prompt_id": (await http.post("/v1/prompts", json={"prompt": "Be kind."})).json()["prompt_id"],
        "response_id": (await http.post(RESPONSES, json={"model": "up/talk", "input": "Hello"})).json()["id"],
    }


async def made_batches(http: httpx.AsyncClient) -> dict[str, str]:
    """The same of batches, which have ended."""
    question = {"model": "up/talk", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9}
    line = {"custom_id": "a", "method": "POST", "url": CHAT, "body": question}
    form = {"file": ("in.jsonl", json.dumps(line).encode())}
    file = (await http.post("/v1/files", data={"purpose": "batch"}, files=form)).json()["id"]
    asked = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"}
    batch = (await http.post("/v1/batches", json=asked)).json()["id"]
    requests = [{"custom_id": "a", "params": question}]
    of_messages = (await http.post("/v1/messages/batches", json={"requests": requests})).json()["id"]
    async with asyncio.timeout(WAIT_S):
        while (await http.get(f"/v1/batches/{batch}")).json()["status"] != "completed":
            await asyncio.sleep(0.02)
        while (await http.get(f"/v1/messages/batches/{of_messages}")).json()["processing_status"] != "ended":
            await asyncio.sleep(0.02)
    return {"input_file_id": file, "id of a batch": batch, "message_batch_id": of_messages}


@dataclass
class Trial:
    """`known` are values of path parameters that stand for something; `statuses` are those that came, by path."""

    url: str
    known: Mapping[str, str]
    mode: GenerationMode
    statuses: dict[str, set[int]] = field(default_factory=dict)
    session: requests.Session = field(default_factory=requests.Session)

    def run(self, document: dict[str, Any]) -> None:
        self.session.trust_env = False
        with self.session:
            for result in schemathesis.openapi.from_dict(document).get_all_operations():
                assert isinstance(result, Ok), result
                operation = result.ok()
                if self.mode is GenerationMode.POSITIVE or operation.body or operation.query:
                    self.try_operation(operation)

    def try_operation(self, operation: Any) -> None:
        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=self.mode))
        def ask(case: Case[Any]) -> None:
            self.ask(case)

        try:
            ask()
        except FailureGroup as failures:
            # No Exception by its class: it would take the event loop of all later tests along.
            raise AssertionError(f"{operation.label}: {failures.exceptions}") from None

    def ask(self, case: Case[Any]) -> None:
        path = case.operation.path
        if case.operation.method.upper() != "DELETE":
            case.path_parameters = {name: self.known_of(path, name) for name in case.path_parameters}
        if isinstance(case.body, dict) and isinstance(case.body.get("model"), str) and path in MODELS:
            case.body["model"] = MODELS[path]
            if path.startswith(RESPONSES):
                kept: dict[str, Any] = {name: each for name, each in case.body.items() if name not in OF_STORED}
                case.body = {"input": "Hello", **kept}
        if self.mode is GenerationMode.POSITIVE and isinstance(case.body, dict) and "vector" in path:
            case.body = {**case.body, **self.known_in(case.body)}
        if self.mode is GenerationMode.POSITIVE and isinstance(case.body, dict) and path == "/v1/messages":
            # Made-up turns and tools fit the types, and mean nothing that could be told a model.
            kept = {name: each for name, each in case.body.items() if name in KEPT_OF_MESSAGES}
            case.body = {"max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}], **kept}
        if self.mode is GenerationMode.POSITIVE and isinstance(case.body, dict) and path in NAMED:
            case.body = {**case.body, NAMED[path]: self.known[NAMED[path]]}
        response = case.call(base_url=self.url, session=self.session)
        self.statuses.setdefault(path, set()).add(response.status_code)
        checks = CHECKS[self.mode]
        if response.headers["content-type"][0].startswith("text/event-stream"):
            check_events(response.text, EVENTS[path])
            # Takes the type of an event's data, which is what OpenAI documents, for the type of the event.
            checks = [check for check in checks if check is not response_schema_conformance]
        if path in JUDGED_LATER:
            checks = [check for check in checks if check is not negative_data_rejection]
        if "include" in (case.query or {}):
            # A list of words, and in a query everything is one.
            checks = [check for check in checks if check is not negative_data_rejection]
        case.validate_response(response, checks=checks)

    def known_of(self, path: str, name: str) -> str:
        # Batches of requests and of a store's files have parameters of one name.
        return self.known.get("id of a batch" if path.startswith("/v1/batches") else name, "nothing")

    def known_in(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What there is, in place of ids that are made up."""
        file, store = self.known["file_id"], self.known["vector_store_id"]
        there = {"file_id": file, "file_ids": [file], "files": [{"file_id": file}], "vector_store_id": store}
        return {name: value for name, value in there.items() if body.get(name) is not None}


def check_events(text: str, kind: Any) -> None:
    events = text.removesuffix("\n\n").split("\n\n")
    if kind not in (ResponseStreamEvent, MessageStreamEvent):
        assert events.pop() == "data: [DONE]"
    validated = TypeAdapter(kind)
    for event in events:
        if event:
            validated.validate_json(event.partition("data: ")[2])
