"""The README's tour with files: `llama stack run` and nothing else, three real documents, answers that cite them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types import VectorStore
from openai.types.responses import FunctionToolParam, ResponseOutputMessage, ResponseOutputText
from openai.types.responses.response_output_text import AnnotationFileCitation

from tests.e2e.conftest import CHAT_MODEL
from tests.support.running import RunningServer, running

DOCUMENTS = Path(__file__).parents[2] / "examples" / "knowledge"
NAMES = {"lighthouse.pdf", "time-off.docx", "beekeeping.md"}
POLL_MS = 50
BUILT = "The lighthouse of Varnholm was built in 1859"
FUNCTION: FunctionToolParam = {"type": "function", "name": "dice", "parameters": {"type": "object"}, "strict": False}


@pytest.fixture(scope="module")
def store(client: OpenAI) -> VectorStore:
    return shelf(client)


def shelf(client: OpenAI) -> VectorStore:
    """A store of the three documents, by both ways to upload."""
    store = client.vector_stores.create(name="Shelf")
    one = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=DOCUMENTS / "lighthouse.pdf", poll_interval_ms=POLL_MS
    )
    assert (one.status, one.last_error) == ("completed", None)
    batch = client.vector_stores.file_batches.upload_and_poll(
        store.id, files=[DOCUMENTS / "time-off.docx", DOCUMENTS / "beekeeping.md"], poll_interval_ms=POLL_MS
    )
    assert (batch.status, batch.file_counts.completed, batch.file_counts.total) == ("completed", 2, 2)
    return client.vector_stores.retrieve(store.id)


def asked(client: OpenAI, store_id: str, question: str) -> ResponseOutputText:
    response = client.responses.create(
        model=CHAT_MODEL,
        input=question,
        tools=[{"type": "file_search", "vector_store_ids": [store_id]}],
        temperature=0,
        max_output_tokens=60,
    )
    searched, message = response.output
    assert searched.type == "file_search_call"
    assert (searched.status, searched.queries) == ("completed", [question])
    assert isinstance(message, ResponseOutputMessage)
    content = message.content[0]
    assert isinstance(content, ResponseOutputText)
    return content


def cited(client: OpenAI, store_id: str, answer: ResponseOutputText) -> tuple[str, int | None, str]:
    """The file, the page and the passage of the only citation."""
    (citation,) = answer.annotations
    assert isinstance(citation, AnnotationFileCitation)
    assert citation.index <= len(answer.text)
    place: dict[str, Any] = citation.to_dict()
    parts = client.vector_stores.files.content(citation.file_id, vector_store_id=store_id)
    text = "".join(part.text or "" for part in parts)
    return citation.filename, place.get("page"), text[place["start"] : place["end"]]


def test_three_documents_are_found(client: OpenAI, store: VectorStore) -> None:
    assert store.file_counts.completed == 3
    hits = client.vector_stores.search(store.id, query="How many days of leave are there?").data
    assert {hit.filename for hit in hits} == NAMES
    assert hits[0].filename == "time-off.docx"
    assert "28 days of paid holiday" in hits[0].content[0].text


@pytest.mark.parametrize(
    ("question", "word", "where", "passage"),
    [
        ("When was the lighthouse built?", "1859", ("lighthouse.pdf", 1), BUILT),
        ("How much honey does a hive need in March?", "eight", ("beekeeping.md", None), "about eight kilograms"),
    ],
)
def test_the_embedded_model_answers_and_cites(
    client: OpenAI, store: VectorStore, question: str, word: str, where: tuple[str, int | None], passage: str
) -> None:
    answer = asked(client, store.id, question)
    assert word in answer.text
    name, page, text = cited(client, store.id, answer)
    assert (name, page) == where
    assert passage in text


def test_a_stream_tells_of_the_search_and_of_its_results(client: OpenAI, store: VectorStore) -> None:
    empty = client.vector_stores.create(name="Nothing")
    stream = client.responses.create(
        model=CHAT_MODEL,
        input="When was the lighthouse built?",
        tools=[{"type": "file_search", "vector_store_ids": [empty.id, store.id], "max_num_results": 1}],
        include=["file_search_call.results"],
        temperature=0,
        max_output_tokens=60,
        stream=True,
    )
    events = list(stream)
    kinds: list[str] = [event.type for event in events]
    for one, next_one in pairwise(SEARCH_EVENTS):
        assert kinds.index(one) < kinds.index(next_one)
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete")  # so small a model may not find an end
    search = last.response.output[0]
    assert search.type == "file_search_call"
    assert [result.filename for result in search.results or ()] == ["lighthouse.pdf"]


SEARCH_EVENTS = [
    "response.created",
    "response.file_search_call.in_progress",
    "response.file_search_call.searching",
    "response.file_search_call.completed",
    "response.output_text.delta",
    "response.output_text.annotation.added",
]


def test_a_model_without_tools_refuses_functions_by_name(client: OpenAI, store: VectorStore) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.responses.create(model=CHAT_MODEL, input="Roll.", tools=[FUNCTION], tool_choice="required")
    assert caught.value.code == "unsupported_parameter"
    assert caught.value.param is not None


def test_a_file_that_cannot_be_read_stops_no_other(client: OpenAI) -> None:
    store = client.vector_stores.create(name="Mixed")
    batch = client.vector_stores.file_batches.upload_and_poll(
        store.id,
        files=[("broken.pdf", b"%PDF-1.4 and nothing"), ("archive.zip", b"PK\x03\x04"), ("geese.txt", b"Geese fly.")],
        poll_interval_ms=POLL_MS,
    )
    assert (batch.file_counts.completed, batch.file_counts.failed) == (1, 2)
    errors = {
        each.last_error.code for each in client.vector_stores.files.list(store.id, filter="failed") if each.last_error
    }
    assert errors == {"invalid_file", "unsupported_file"}
    (hit,) = client.vector_stores.search(store.id, query="geese").data
    client.files.delete(hit.file_id)
    assert client.vector_stores.search(store.id, query="geese").data == []
    with pytest.raises(NotFoundError):
        client.vector_stores.files.retrieve(hit.file_id, vector_store_id=store.id)


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    def client_of(server: RunningServer) -> OpenAI:
        return OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)

    with running("--port", "0", home=tmp_path) as server, client_of(server) as client:
        store = shelf(client)
        before = client.vector_stores.search(store.id, query="storm")
    with running("--port", "0", home=tmp_path) as server, client_of(server) as client:
        assert client.vector_stores.retrieve(store.id) == store
        after = client.vector_stores.search(store.id, query="storm")
        assert [(hit.filename, hit.score) for hit in after] == [(hit.filename, hit.score) for hit in before]
        assert {file.filename for file in client.files.list()} == NAMES
        for file in client.files.list():
            assert client.files.content(file.id).content == (DOCUMENTS / file.filename).read_bytes()
        added = client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=("storm.txt", b"A storm in a teacup."), poll_interval_ms=POLL_MS
        )
        assert client.vector_stores.search(store.id, query="storm in a teacup").data[0].file_id == added.id
