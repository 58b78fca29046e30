"""The estimate beside a real tokenizer, and what holds for every text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.providers._shared.embedding_minilm import MiniLM
from llama_stack.rag.tokens import count_tokens, first_tokens, tokens_of

TEXTS = {
    "English": Path("README.md").read_text(),
    "code": Path(__file__).read_text(),
    "JSON": json.dumps([{"id": number, "score": number * 1.37, "tags": ["alpha", "beta"]} for number in range(50)]),
    "German": "Der Vorstand beschloss gestern, zusätzliche Schiffe für die Übergangszeit anzuschaffen. " * 5,
    "Russian": "Вчера вечером мы долго разговаривали о будущем нашей компании и о погоде. " * 5,  # noqa: RUF001
    "Arabic": "كانت المدينة القديمة مليئة بالأسواق والحرفيين الذين يصنعون الأواني النحاسية. " * 5,
    "Chinese": "人工智能正在改变我们的生活方式。许多公司投入大量资金研究新的算法，希望提高效率。" * 5,  # noqa: RUF001
    "Korean": "서울은 대한민국의 수도이며 많은 사람들이 살고 있습니다. " * 5,
    "rules": ("-" * 80 + "\n") * 20,
}


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM(threads=1)


@pytest.mark.parametrize("name", TEXTS)
def test_the_estimate_is_near_wordpiece(minilm: MiniLM, name: str) -> None:
    tokens = minilm.tokenize([TEXTS[name]], 1_000_000, truncate=False).tokens - 2
    assert 0.7 * tokens <= count_tokens(TEXTS[name]) <= 1.3 * tokens


@given(st.text())
def test_every_character_but_spaces_is_in_a_token(text: str) -> None:
    tokens = list(tokens_of(text))
    assert "".join(text[token.start : token.end] for token in tokens).replace(" ", "") == text.replace(" ", "")
    assert sum(token.weight for token in tokens) == count_tokens(text)


@given(st.text() | st.text(alphabet="aB 1\n한🎉"), st.integers(0, 20))
def test_the_first_tokens_are_a_beginning(text: str, count: int) -> None:
    beginning = first_tokens(text, count)
    assert text.startswith(beginning)
    assert count_tokens(beginning) <= count
