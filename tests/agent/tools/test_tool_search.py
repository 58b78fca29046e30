"""Deferred tools: found by their words, loaded by what was found."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai.types.responses import ResponseToolSearchCall, ResponseToolSearchOutputItem

from llama_stack.agent.entries import Entry, Item, ModelCall
from llama_stack.agent.tools.base import BoundTool, CallerTool, ToolContext, ToolResult
from llama_stack.agent.tools.deferral import brought, offered
from llama_stack.agent.tools.ranking import rank, words
from llama_stack.agent.tools.tool_search import RESULTS_MAX, ToolSearch, ToolSearchTools
from llama_stack_api.errors import InvalidRequest, LlamaStackError
from llama_stack_api.openai.responses.items import ToolSearchCall, ToolSearchOutput
from llama_stack_api.principal import Call

pytestmark = pytest.mark.anyio

KIND = ToolSearchTools()


def definition(name: str, description: str = "", **properties: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {key: {"type": "string", "description": text} for key, text in properties.items()},
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def function(name: str, description: str = "", *, deferred: bool = True, **properties: str) -> BoundTool:
    shown = definition(name, description, **properties)
    origin = {"type": "function", "name": name, "description": description, "defer_loading": deferred}
    return BoundTool(name, shown, origin, caller=CallerTool("function", name), deferred=deferred)


def in_namespace(namespace: Item, name: str, description: str) -> BoundTool:
    shown = definition(f"{namespace['name']}__{name}", description)
    caller = CallerTool("function", name, namespace["name"])
    return BoundTool(f"{namespace['name']}__{name}", shown, namespace, caller=caller, deferred=True)


def served(label: str, name: str, description: str, runner: Any) -> BoundTool:
    origin = {
        "type": "mcp",
        "server_label": label,
        "server_url": "https://mcp.example/x",
        "server_description": "About code.",
    }
    return BoundTool(
        name, definition(name, description), origin, runner=runner, deferred=True, label=label, bare_name=name
    )


def searching(**tool: Any) -> BoundTool:
    (bound,) = KIND.bind({"type": "tool_search", **tool}, []).tools
    return bound


class Server:
    """Stands for a server's tool where only its kind counts: nothing here runs it."""

    kind = "mcp"


CRM = {
    "type": "namespace",
    "name": "crm",
    "description": "Customers and their orders.",
    "tools": [
        {"type": "function", "name": "list_orders", "description": "List the open orders.", "defer_loading": True},
        {"type": "function", "name": "getCustomer", "description": "One customer.", "defer_loading": True},
    ],
}
CATALOGUE = [
    function("send_mail", "Send an e-mail to somebody.", recipient="Whom to write to", body="What to say"),
    function("book_flight", "Book a flight.", passenger="Who flies", airport="Where from"),
    in_namespace(CRM, "list_orders", "List the open orders."),
    in_namespace(CRM, "getCustomer", "One customer."),
    served("wiki", "read_wiki", "Read the wiki of a repository.", Server()),
]


async def search(catalogue: list[BoundTool] = CATALOGUE, **arguments: Any) -> ToolResult:
    runner = searching().runner
    assert runner is not None
    call = ModelCall("call_1", "tool_search", msgspec.json.encode(arguments).decode())
    opened = runner.opened(call, "tsc_1")
    ToolSearchCall.model_validate(opened)
    assert list(runner.announced(call, opened)) == []
    try:
        result = await runner.run(call, opened, ToolContext(Call(), deferred=catalogue))
    except LlamaStackError as error:
        result = runner.failed(call, opened, error)
    ResponseToolSearchCall.model_validate(result.entry.item, strict=True)
    for entry in result.more:
        ToolSearchOutput.model_validate(entry.item)
        ResponseToolSearchOutputItem.model_validate(entry.item)
    return result


def found(result: ToolResult) -> list[Item]:
    (output,) = result.more
    tools: list[Item] = output.item["tools"]
    return tools


async def test_words_of_names_descriptions_and_parameters_find_a_tool() -> None:
    for query in ("send mail", "e-mail", "recipient of a message"):
        (tool, *_) = found(await search(query=query))
        assert tool["name"] == "send_mail"
    assert tool == {"parameters": None, "strict": None, **CATALOGUE[0].origin}


async def test_what_was_found_is_told_to_the_model_and_kept_with_the_call() -> None:
    result = await search(query="flights from an airport", limit=1)
    assert result.entry.item == {
        "id": "tsc_1",
        "type": "tool_search_call",
        "call_id": None,
        "execution": "server",
        "arguments": {"query": "flights from an airport", "limit": 1},
        "status": "completed",
    }
    assert result.entry.call is not None
    assert result.entry.shown == "These tools are loaded now:\n- book_flight: Book a flight."


async def test_tools_of_a_namespace_and_of_a_server_are_listed_together() -> None:
    (space,) = found(await search(query="customers orders"))
    assert {**space, "tools": []} == {
        "type": "namespace",
        "name": "crm",
        "description": "Customers and their orders.",
        "tools": [],
    }
    assert sorted(each["name"] for each in space["tools"]) == ["getCustomer", "list_orders"]
    (server,) = found(await search(query="wiki"))
    assert server == {
        "type": "mcp",
        "server_label": "wiki",
        "server_url": "https://mcp.example/x",
        "allowed_tools": ["read_wiki"],
        "defer_loading": True,
    }


async def test_nothing_found_is_said() -> None:
    result = await search(query="xylophone")
    assert found(result) == []
    assert result.entry.shown == "No tool was found. Try other words, or go on without."


@pytest.mark.parametrize("arguments", ["", "[]", "{", '{"query": ""}', '{"query": 3}', "[" * 5000])
async def test_arguments_that_say_nothing_fail_visibly(arguments: str) -> None:
    runner = ToolSearch(1.0)
    call = ModelCall("call_1", "tool_search", arguments)
    opened = runner.opened(call, "tsc_1")
    with pytest.raises(InvalidRequest) as failure:
        await runner.run(call, opened, ToolContext(Call(), deferred=CATALOGUE))
    failed = runner.failed(call, opened, failure.value).entry
    assert failed.item["status"] == "incomplete"
    assert 'a JSON object with a text "query"' in str(failed.shown)


async def test_a_large_catalogue_and_a_large_limit() -> None:
    catalogue = [function(f"tool_{number}", f"Does thing number {number}.") for number in range(1000)]
    result = await search(catalogue, query="thing 777", limit=10_000)
    names = [tool["name"] for tool in found(result)]
    assert names[0] == "tool_777"
    assert len(names) == RESULTS_MAX


async def test_found_tools_are_offered_and_no_others() -> None:
    tools = [searching(), function("now", deferred=False), *CATALOGUE]
    assert [tool.name for tool in offered(tools, [])] == ["tool_search", "now"]
    entries: list[Entry] = []
    for query in ("orders", "wiki", "mail"):
        result = await search(query=query, limit=1)
        entries += [result.entry, *result.more]
    shown = [tool.name for tool in offered(tools, entries)]
    assert shown == ["tool_search", "now", "send_mail", "crm__list_orders", "read_wiki"]


def test_the_model_is_told_what_there_is_to_find() -> None:
    (shown, *_) = offered([searching(), *CATALOGUE], [])
    about = shown.definition["function"]["description"].partition("What can be found:\n")[2]
    assert about.splitlines() == [
        "- crm (2 tools): Customers and their orders.",
        "- wiki (1 tools): About code.",
        "- send_mail",
        "- book_flight",
    ]


def test_without_a_search_nothing_is_deferred() -> None:
    assert offered(CATALOGUE, []) == CATALOGUE
    assert offered([searching(), function("now", deferred=False)], []) == [function("now", deferred=False)], (
        "there is nothing to search"
    )


def test_the_callers_own_search_is_the_callers_tool() -> None:
    parameters = {"type": "object", "properties": {"goal": {"type": "string"}}}
    tool = searching(execution="client", description="Finds tools.", parameters=parameters)
    assert tool.runner is None
    assert tool.caller == CallerTool("tool_search", "tool_search")
    assert tool.definition["function"] == {
        "name": "tool_search",
        "description": "Finds tools.",
        "parameters": parameters,
    }
    assert offered([tool, *CATALOGUE], []) == [tool]
    assert offered([tool], []) == [tool], "its output may bring tools that the request lacks"
    with pytest.raises(InvalidRequest):
        KIND.check({"type": "tool_search", "execution": "client", "parameters": "x"})


def test_items_bring_definitions() -> None:
    weather = {"type": "function", "name": "weather", "parameters": None}
    output = {"type": "tool_search_output", "call_id": "call_1", "tools": [weather]}
    entries = [
        Entry({**output, "execution": "client"}),
        Entry({**output, "execution": "server"}),
        Entry({"type": "additional_tools", "role": "developer", "tools": [CRM, "rubbish"]}),
    ]
    assert brought(entries) == [weather, CRM]


def test_words() -> None:
    assert list(words("listTheOpenOrders HTTPServer_v2 boss's Größe 天气")) == [
        "list", "open", "order", "http", "server", "v2", "boss", "s", "größe", "天气",
    ]  # fmt: skip


def test_rare_words_and_names_weigh_more() -> None:
    documents = [
        [("get_user", 3.0), ("Get a user of the system.", 1.0)],
        [("get_invoice", 3.0), ("Get an invoice.", 1.0)],
        [("archive", 3.0), ("Archive things, an invoice too.", 1.0)],
    ]
    assert rank("the invoices", documents) == [1, 2], "a name says more than a description"
    assert rank("get the archive", documents)[0] == 2, "a rare word says more than a common one"
    assert rank("", documents) == rank("nothing here", documents) == []
    assert rank("anything", []) == []
