"""Holds what a server says of responses against everything that describes it: our types, those of the `openai`
package (strictly), and the properties of OpenAI's contract that are kept in `tests/contract/data`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from openai.types.responses import Response as SDKResponse
from openai.types.responses import ResponseStreamEvent as SDKEvent
from pydantic import BaseModel, TypeAdapter

from llama_stack_api.openai.responses.events import ResponseStreamEvent
from llama_stack_api.openai.responses.response import Response
from tests.support.contract import DEPTH_MAX, Wanted
from tests.support.contract_blocks import wanted_of_responses
from tests.support.instances import is_fallback, members

Json = dict[str, Any]

BEYOND = ("frequency_penalty", "presence_penalty", "max_infer_iters", "store")
"""Members of a response that the contract does not have."""
FREE = (
    ".metadata", ".variables", ".schema", ".parameters", ".input_schema", ".tools[].annotations", ".attributes",
    ".error.content", ".arguments", ".tool_choice.tools",
)  # fmt: skip
"""Places whose insides are the client's, or a server's."""
UNTYPED = (".arguments",)
"""Strings of most items, and whatever it may be of a `tool_search_call`: the data knows one type for all."""
OUR_REASON = "max_iterations_exceeded"
"""Why a response is incomplete whose `max_infer_iters` are used up."""
JSON_TYPES = {
    bool: {"boolean"}, int: {"integer", "number"}, float: {"number"}, str: {"string"}, list: {"array"},
    dict: {"object"},
}  # fmt: skip


@dataclass
class Descriptions:
    """`events` and `items` are the types that were seen."""

    events: set[str] = field(default_factory=set)
    items: set[str] = field(default_factory=set)

    def check_log(self, log: list[Json]) -> Json:
        """All events of a response. Returns the response."""
        assert [event["sequence_number"] for event in log] == list(range(len(log)))
        for event in log:
            self.check_event(event)
        response: Json = log[-1]["response"]
        return response

    def check_event(self, event: Json) -> None:
        self.events.add(event["type"].removeprefix("response."))
        assert_ours(self._our_event, event)
        assert_theirs(self._their_events[event["type"]], event)
        self._check_properties(event, "<<")
        self._see(event.get("response", {}).get("output", ()), event.get("item"))

    def check_response(self, response: Json) -> None:
        assert_ours(self._our_response, response)
        assert_theirs(self._their_response, response)
        self._check_properties(response, "<")
        self._see(response["output"])

    def _see(self, items: Any, *more: Any) -> None:
        self.items |= {item["type"] for item in (*items, *more) if item}

    def _check_properties(self, value: Any, root: str) -> None:
        for place, said in _places(value, root):
            if any(part in BEYOND for part in place.split(".")):
                continue
            wanted = self._contract.get(place)
            assert wanted is not None, f"the contract has no {place}: {said!r}"
            if said is None or not wanted.types or place.endswith(UNTYPED):
                continue
            assert JSON_TYPES[type(said)] & wanted.types, f"{place} is {said!r}, not {sorted(wanted.types)}"
            if isinstance(said, str) and wanted.values and wanted.types == {"string"} and _is_closed(place):
                assert said in wanted.values, f"{place} is {said!r}, none of {sorted(wanted.values)}"

    @cached_property
    def _contract(self) -> dict[str, Wanted]:
        return {
            wanted.place: wanted
            for wanted in wanted_of_responses()
            if (wanted.method, wanted.path) == ("post", "/responses") and wanted.place.startswith("<")
        }

    @cached_property
    def _our_event(self) -> TypeAdapter[Any]:
        return TypeAdapter(ResponseStreamEvent)

    @cached_property
    def _our_response(self) -> TypeAdapter[Any]:
        return TypeAdapter(Response)

    @cached_property
    def _their_events(self) -> dict[str, TypeAdapter[Any]]:
        return {kind.model_fields["type"].annotation.__args__[0]: TypeAdapter(kind) for kind in members(SDKEvent)}  # type: ignore[union-attr]

    @cached_property
    def _their_response(self) -> TypeAdapter[Any]:
        return TypeAdapter(SDKResponse)


def assert_ours(adapter: TypeAdapter[Any], said: Json) -> None:
    """Known to the last member: nothing is held by a type for what is unknown, or by chance."""
    read = adapter.validate_json(json.dumps(said))
    for place, model in _models(read):
        assert not is_fallback(type(model)), f"{place} is of no known type: {model!r}"
        assert not model.model_extra, f"{place} has unknown members: {model.model_extra}"


def assert_theirs(adapter: TypeAdapter[Any], said: Json) -> None:
    said = json.loads(json.dumps(said).replace(OUR_REASON, "max_output_tokens"))
    read = adapter.validate_json(json.dumps(said), strict=True)
    assert _without_nulls(json.loads(read.model_dump_json(by_alias=True))) == _without_nulls(said)


def _models(value: Any, place: str = "") -> Iterator[tuple[str, BaseModel]]:
    if isinstance(value, BaseModel):
        yield place, value
        for name, inner in value:
            yield from _models(inner, f"{place}.{name}")
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _models(inner, f"{place}[]")


def _places(value: Any, place: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """As deep as the data is."""
    yield place, value
    if depth == DEPTH_MAX or place.endswith(FREE):
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _places(inner, f"{place}.{name}", depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _places(inner, f"{place}[]", depth + 1)


def _is_closed(place: str) -> bool:
    """Of models, and of reasons and codes of ours, there are more than the contract names."""
    return not place.endswith((".model", ".reason", ".code"))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
