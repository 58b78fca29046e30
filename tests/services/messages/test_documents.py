"""Images and documents: whatever a provider cannot read, or reach, is brought to it."""

from __future__ import annotations

import base64
from typing import Any

import anthropic
import pytest
from openai import AsyncOpenAI

from tests.support.anthropic_upstream import says
from tests.support.documents import pdf
from tests.support.messaging import Messaging
from tests.support.upstream import Answer, text

pytestmark = pytest.mark.anyio

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


async def ask(served: Messaging, *blocks: Any, model: str = "chat") -> None:
    served.chat.always(text("Seen."), on="/completions")
    served.claude.always(says("Seen."))
    content = [*blocks, {"type": "text", "text": "What is it?"}]
    await served.client.messages.create(model=model, max_tokens=10, messages=[{"role": "user", "content": content}])


def told(served: Messaging) -> Any:
    return served.chat.last.body["messages"][-1]["content"]


def document(**source: Any) -> dict[str, Any]:
    return {"type": "document", "title": "Notes", "source": source}


def encoded(body: bytes) -> str:
    return base64.b64encode(body).decode()


async def test_an_image_at_an_address_goes_on_as_data(served: Messaging) -> None:
    served.web.always(Answer(headers={"content-type": "image/png"}, parts=[PNG]), on="/image")
    await ask(served, {"type": "image", "source": {"type": "url", "url": f"{served.web.url}/image"}})
    image = told(served)[0]
    assert image == {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(PNG)}"}}


async def test_a_pdf_goes_on_as_its_text(served: Messaging) -> None:
    body = pdf([["The fox is quick."], ["The dog is lazy."]])
    await ask(served, document(type="base64", media_type="application/pdf", data=encoded(body)))
    assert "The fox is quick." in told(served)
    assert "The dog is lazy." in told(served)
    assert "Notes" in told(served)


async def test_a_document_at_an_address_is_fetched(served: Messaging) -> None:
    served.web.always(Answer(headers={"content-type": "text/plain"}, parts=[b"Plain:\n\nas day."]), on="/plain.txt")
    await ask(served, document(type="url", url=f"{served.web.url}/plain.txt"))
    assert "Plain:\n\nas day." in told(served)


async def stored(served: Messaging, name: str, body: bytes) -> str:
    async with AsyncOpenAI(base_url=f"{served.server.url}/v1", api_key="none", max_retries=0) as client:
        return (await client.files.create(file=(name, body), purpose="user_data")).id


async def test_our_files_are_read_for_every_provider(served: Messaging) -> None:
    file_id = await stored(served, "notes.pdf", pdf([["Kept with us."]]))
    await ask(served, document(type="file", file_id=file_id))
    assert "Kept with us." in told(served)
    await ask(served, document(type="file", file_id=file_id), model="claude")
    source = served.claude.last.body["messages"][0]["content"][0]["source"]
    assert (source["type"], source["media_type"]) == ("base64", "application/pdf")
    image_id = await stored(served, "dot.png", PNG)
    await ask(served, {"type": "image", "source": {"type": "file", "file_id": image_id}})
    assert told(served)[0]["image_url"]["url"] == f"data:image/png;base64,{encoded(PNG)}"


async def test_files_that_are_not_ours_are_the_providers(served: Messaging) -> None:
    await ask(served, document(type="file", file_id="file_of_theirs"), model="claude")
    assert served.claude.last.body["messages"][0]["content"][0]["source"]["file_id"] == "file_of_theirs"
    with pytest.raises(anthropic.BadRequestError, match="file_of_theirs"):
        await ask(served, document(type="file", file_id="file_of_theirs"))


async def test_what_cannot_be_read_is_a_400(served: Messaging) -> None:
    with pytest.raises(anthropic.BadRequestError, match="no text"):
        await ask(served, document(type="base64", media_type="application/pdf", data=encoded(pdf([[]]))))
    with pytest.raises(anthropic.BadRequestError):
        await ask(served, document(type="base64", media_type="application/pdf", data=encoded(b"%PDF-1.7 broken")))
    with pytest.raises(anthropic.BadRequestError, match="fetched"):
        await ask(served, document(type="url", url="http://169.254.169.254/latest"))


async def test_a_document_in_a_result_of_a_tool_is_read_too(served: Messaging) -> None:
    served.chat.always(text("Seen."), on="/completions")
    body = document(type="base64", media_type="application/pdf", data=encoded(pdf([["Found by a tool."]])))
    use = {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [body]}
    messages: Any = [
        {"role": "user", "content": "Read."},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    tools: Any = [{"name": "read", "input_schema": {"type": "object"}}]
    await served.client.messages.create(model="chat", max_tokens=10, messages=messages, tools=tools)
    assert "Found by a tool." in told(served)
