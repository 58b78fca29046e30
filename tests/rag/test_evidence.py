"""What the words of a text say of its relevance."""

from __future__ import annotations

import pytest

from llama_stack.rag.evidence import evidence

BOILER = {
    "e17": "The boiler shows code E17 when the flame goes out.",
    "e23": "Code E23 means that the boiler has too little water.",
    "leave": "Employees have 28 days of paid holiday.",
    "bread": "Dough is ready when it doubles.",
}


def test_all_words_are_1_and_none_is_0() -> None:
    said = evidence(("flame", "e17"), BOILER)
    assert said["e17"] == pytest.approx(1)
    assert said["leave"] == said["bread"] == 0


def test_a_code_counts_however_many_words_are_around_it() -> None:
    question = ("since", "yesterday", "evening", "heating", "shows", "e23", "plumber", "away")
    said = evidence(question, BOILER)
    assert said["e23"] == pytest.approx(1)
    assert said["e17"] < 0.01  # it has "shows"


def test_one_common_word_of_a_question_is_hardly_anything() -> None:
    said = evidence(("guarantee", "boiler"), BOILER)
    assert 0 < said["e17"] == said["e23"] < 0.1


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("SC542.", True),
        ("Fehler SC542: Gerät aus", True),
        ("xsc542", False),
        ("Gerät SC5421", False),
        ("sc 542", False),
    ],
)
def test_words_are_whole_as_the_index_has_them(text: str, has: bool) -> None:
    assert evidence(("sc542",), {"one": text, "other": ""})["one"] == (1 if has else 0)


def test_nothing_to_go_by() -> None:
    assert evidence((), {"one": "text"}) == {"one": 0.0}
    assert evidence(("word",), {}) == {}
