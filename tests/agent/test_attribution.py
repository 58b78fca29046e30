"""Which passage a sentence rests on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.agent.attribution import Attribution, Passage, passages_of
from llama_stack.agent.citations import Citations
from llama_stack.agent.entries import Entry, Item, Source

LLAMAS = Source("llamas.md", file_id="file-a1")
ROCKETS = Source("rockets.pdf", file_id="file-b2")
PASSAGES = [
    Passage(LLAMAS, "Llamas eat grass and hay. They drink little water.", {"chunk_id": "c1", "start": 0, "end": 50}),
    Passage(LLAMAS, "Llamas hum to each other when they are content.", {"chunk_id": "c2", "start": 50, "end": 98}),
    Passage(ROCKETS, "The engine burns 13.5 tons of kerosene a second.", {"chunk_id": "c3", "page": 7}),
]


def annotated(text: str, passages: list[Passage] | None = None, *, pieces: int = 1) -> tuple[str, list[Item]]:
    used = PASSAGES if passages is None else passages
    citations = Citations([passage.source for passage in used], passages=used)
    shown = "".join(citations.feed(text[at : at + pieces]) for at in range(0, len(text), pieces))
    rest, annotations = citations.finish()
    return shown + rest, annotations


def test_a_sentence_without_a_mark_is_cited_at_its_end_with_its_place() -> None:
    text, annotations = annotated("It burns 13.5 tons of kerosene each second!")
    assert annotations == [
        {
            "type": "file_citation",
            "file_id": "file-b2",
            "filename": "rockets.pdf",
            "index": text.index("!"),
            "chunk_id": "c3",
            "page": 7,
        }
    ]


def test_sentences_in_a_row_on_one_passage_are_cited_once() -> None:
    text, annotations = annotated("Llamas eat grass. They eat hay, too. Rockets burn kerosene, 13.5 tons a second.")
    assert [(each["chunk_id"], text[: each["index"]]) for each in annotations] == [
        ("c1", "Llamas eat grass. They eat hay, too"),
        ("c3", text[:-1]),
    ]


@pytest.mark.parametrize(
    "text", ["Paris is the capital of France.", "I do not know.", "", "Llamas are what they are to me and you, dear."]
)
def test_what_rests_on_nothing_is_not_cited(text: str) -> None:
    assert annotated(text)[1] == []


def test_a_short_answer_needs_all_of_its_words() -> None:
    assert [each["chunk_id"] for each in annotated("Kerosene.")[1]] == ["c3"]
    assert annotated("Green kerosene.")[1] == []


def test_a_mark_is_taken_at_its_word_and_leads_to_the_passage_that_is_meant() -> None:
    text, (one,) = annotated(
        "When they hum, they are content <|file-a1|>. Rockets burn 13.5 tons of kerosene a second."
    )
    assert "<|" not in text
    assert (one["chunk_id"], one["index"]) == ("c2", text.index("."))


def test_text_without_spaces_is_compared_by_pairs_of_characters() -> None:
    passages = [
        Passage(ROCKETS, "火箭使用煤油作为燃料。", {"chunk_id": "rocket"}),
        Passage(LLAMAS, "骆驼吃草和干草。", {"chunk_id": "llama"}),
    ]
    text, (one,) = annotated("骆驼吃草。", passages)
    assert (one["chunk_id"], one["index"]) == ("llama", text.index("。"))


@given(st.lists(st.sampled_from(["Llamas eat grass. ", "No idea", "\n", " <|file-b2|>", "Hay?", "3.5 "]), max_size=8))
def test_how_the_text_is_cut_makes_no_difference(parts: list[str]) -> None:
    text = "".join(parts)
    assert annotated(text, pieces=1) == annotated(text, pieces=max(1, len(text)))


def test_passages_are_the_results_that_were_shown() -> None:
    results: list[dict[str, Any]] = [
        {"file_id": "file-a1", "filename": "llamas.md", "text": "shown", "score": 1.0, "attributes": {}, "page": 2},
        {"file_id": "file-b2", "filename": "rockets.pdf", "text": "no room for it", "score": 0.5, "attributes": {}},
    ]
    search = Entry({"type": "file_search_call", "id": "fs_1", "results": results}, sources=[LLAMAS])
    failed = Entry({"type": "file_search_call", "id": "fs_2", "results": None})
    assert passages_of([search, failed]) == [Passage(LLAMAS, "shown", {"page": 2})]


def test_a_mark_in_front_of_everything_leads_to_the_first_passage_of_its_file() -> None:
    assert Attribution(PASSAGES).meant_at("text", 0, "file-b2")["chunk_id"] == "c3"
    assert Attribution(PASSAGES).meant_at("text", 0, "file-z9") == {}


DOCUMENT = "Llamas eat grass and hay. They drink little water.\nRockets burn kerosene.\nThe crew sleeps in shifts."
PAGED = Passage(
    ROCKETS,
    DOCUMENT[26:],
    {"chunk_id": "c9", "page": 1, "start": 26, "end": len(DOCUMENT), "next_pages": [[2, 51], [3, 74]]},
)


@pytest.mark.parametrize(
    ("answer", "page", "rests_on"),
    [
        ("They drink very little water.", 1, "They drink little water"),
        ("Kerosene is what rockets burn.", 2, "Rockets burn kerosene"),
        ("The crew sleeps in shifts <|file-b2|>.", 3, "The crew sleeps in shifts"),
    ],
)
def test_a_citation_leads_to_the_sentence_and_its_page(answer: str, page: int, rests_on: str) -> None:
    _, (one,) = annotated(answer, [PAGED])
    assert (one["page"], DOCUMENT[one["start"] : one["end"]]) == (page, rests_on)
    assert "next_pages" not in one
