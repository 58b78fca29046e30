"""Queries that a model words anew."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from llama_stack.config.vector_stores import RewriteQueryParams
from llama_stack.rag.rewrite import rewritten
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.principal import Call

pytestmark = pytest.mark.anyio

PARAMS = RewriteQueryParams.model_validate(
    {"model": {"provider_id": "up", "model_id": "small"}, "prompt": "Anew: {query}", "max_tokens": 20, "temperature": 0}
)


@dataclass
class Writer:
    """Answers each prompt with what stands for it, or else with nothing."""

    answers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, int, float | None]] = field(default_factory=list)

    async def complete(self, model: str, prompt: str, *, max_tokens: int, temperature: float | None, call: Call) -> str:
        self.asked.append((model, prompt, max_tokens, temperature))
        return self.answers.get(prompt, "")


async def test_each_query_is_asked_for_as_the_run_config_says() -> None:
    writer = Writer({"Anew: bees": "honey bees", "Anew: {wasps}": "yellowjackets"})
    assert await rewritten(["bees", "{wasps}"], PARAMS, writer, Call()) == ("honey bees", "yellowjackets")
    assert writer.asked == [("up/small", "Anew: bees", 20, 0), ("up/small", "Anew: {wasps}", 20, 0)]


@pytest.mark.parametrize(
    ("answer", "query"),
    [
        ('"honey bees"', "honey bees"),
        ("„honey bees“", "honey bees"),
        ("  honey\n bees\n", "honey bees"),
        ('the "waggle" dance', 'the "waggle" dance'),
        ('"', '"'),
        ("", "bees"),
        ("''", "bees"),
        (" \n", "bees"),
    ],
)
async def test_an_answer_is_one_line_without_its_quotes_and_none_changes_nothing(answer: str, query: str) -> None:
    assert await rewritten(["bees"], PARAMS, Writer({"Anew: bees": answer}), Call()) == (query,)


@pytest.mark.parametrize("params", [None, RewriteQueryParams()])
async def test_without_a_model_it_is_refused_with_the_setting(params: RewriteQueryParams | None) -> None:
    with pytest.raises(InvalidRequest, match=r"rewrite_query_params\.model") as raised:
        await rewritten(["bees"], params, Writer(), Call())
    assert (raised.value.param, raised.value.code) == ("rewrite_query", "unsupported_parameter")
