"""Citations: what is found in a text, and that it does not matter how the text came."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.agent.citations import Citations, mark_of
from llama_stack.agent.entries import Item, Source
from llama_stack_api.openai.responses.content import FileCitation, URLCitation
from tests.support.citations import cited

PARIS = Source("Paris", url="https://www.city.example/paris_(france)")
LYON = Source("Lyon", url="http://lyon.example/")
NOTES = Source("notes.pdf", file_id="file-abc_1")
SOURCES = [PARIS, LYON, NOTES]

PIECES = [
    *"ab .,\n()[]【】<>|†`1239",
    " ",
    "【1】",
    "【2†L3-L5】",
    "【3】",
    "【9】",
    "[1]",
    "[3]",
    "<|file-abc_1|>",
    "<|file-zzz|>",
    "<|im_end|>",
    f"【{mark_of(LYON)}】",
    f"[{mark_of(PARIS)}]",
    f"[{mark_of(PARIS)}](x)",
    "[Paris](https://www.city.example/paris_(france))",
    "[[1]](http://lyon.example)",
    "http://lyon.example/.",
    "https://elsewhere.example/",
    "```",
]


def in_pieces(text: str, cuts: list[int]) -> tuple[str, list[Item]]:
    citations = Citations(SOURCES, numbered=True)
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    shown = "".join(citations.feed(text[start:end]) for start, end in itertools.pairwise(places))
    rest, annotations = citations.finish()
    return shown + rest, annotations


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), st.lists(st.integers(0, 10_000), max_size=12))
def test_however_the_text_is_cut_the_same_comes_of_it(text: str, cuts: list[int]) -> None:
    shown, annotations = cited(text, SOURCES, numbered=True)
    assert in_pieces(text, cuts) == (shown, annotations)
    assert in_pieces(text, list(range(len(text)))) == (shown, annotations)
    for annotation in annotations:
        if annotation["type"] == "url_citation":
            URLCitation.model_validate(annotation)
            span = shown[annotation["start_index"] : annotation["end_index"]]
            assert span.startswith(("[", "http"))
            assert annotation["url"] in {PARIS.url, LYON.url}
        else:
            FileCitation.model_validate(annotation)
            assert 0 <= annotation["index"] <= len(shown)
            assert annotation["filename"] == "notes.pdf"


@given(st.text())
def test_any_text_survives(text: str) -> None:
    assert cited(text, []) == (text, [])
    shown, annotations = cited(text, SOURCES)
    if not annotations:
        assert shown == text


@pytest.mark.parametrize(
    ("text", "shown", "spans"),
    [
        ("See [the page](http://lyon.example).", None, ["[the page](http://lyon.example)"]),
        ("See http://www.lyon.example/.", None, ["http://www.lyon.example/"]),
        ("(https://www.city.example/paris_(france))", None, ["https://www.city.example/paris_(france)"]),
        ('[P](https://city.example/paris_(france)#top "Paris")', None, None),
        ("Big[1], old [2].", None, ["[1]", "[2]"]),
        ("[[2]](http://lyon.example/)", None, ["[[2]](http://lyon.example/)"]),
        ("Old【2】.", "Old ([lyon.example](http://lyon.example/)).", ["[lyon.example](http://lyon.example/)"]),
        ("Old 【2†L1-L9】.", "Old ([lyon.example](http://lyon.example/)).", ["[lyon.example](http://lyon.example/)"]),
        (
            f"Big [{mark_of(PARIS)}]",
            "Big ([city.example](https://www.city.example/paris_%28france%29))",
            ["[city.example](https://www.city.example/paris_%28france%29)"],
        ),
        ("`x[1]` and ```\n[1] http://lyon.example/\n``` and 【7】 [8] [1](x)", None, []),
        ("[a](https://elsewhere.example) https://elsewhere.example [::1] http://[", None, []),
    ],
)
def test_pages(text: str, shown: str | None, spans: list[str] | None) -> None:
    actual, annotations = cited(text, SOURCES, numbered=True)
    shown = text if shown is None else shown
    assert actual == shown
    found = [shown[each["start_index"] : each["end_index"]] for each in annotations]
    assert found == ([text] if spans is None else spans)


def test_the_annotation_names_the_source_as_it_was_found() -> None:
    _, annotations = cited("a http://LYON.example", SOURCES)
    assert annotations == [
        {"type": "url_citation", "url": "http://lyon.example/", "title": "Lyon", "start_index": 2, "end_index": 21}
    ]


@pytest.mark.parametrize("mark", ["<|file-abc_1|>", "【3】", f"【{mark_of(NOTES)}】", "【3†notes.pdf】"])
def test_files(mark: str) -> None:
    shown, annotations = cited(f"A fact {mark}. Another{mark}{mark}", SOURCES, numbered=True)
    assert shown == "A fact. Another"
    expected = {"type": "file_citation", "file_id": "file-abc_1", "filename": "notes.pdf"}
    assert annotations == [expected | {"index": 6}, expected | {"index": 15}, expected | {"index": 15}]


def test_marks_of_files_that_are_not_there_mean_nothing_to_a_reader() -> None:
    assert cited("A <|file-made_up|>b <|im_end|>", SOURCES) == ("Ab <|im_end|>", [])


def test_numbers_mean_nothing_where_sources_are_of_several_searches() -> None:
    text = "A [1] and 【2】 and 【3†notes】"
    assert cited(text, SOURCES) == (text, [])


def test_no_more_is_held_back_than_a_mark_may_need() -> None:
    citations = Citations(SOURCES)
    assert citations.feed("A fact") == "A fact"
    assert citations.feed(" ") == ""
    assert citations.feed("<") == ""
    assert citations.feed("b [") == " <b"
    assert citations.feed("x] 【no") == " [x] 【no"
    assert citations.feed(" <|") == ""
    assert citations.feed("a b") == " <|a b"
    assert citations.finish() == ("", [])


def test_two_sources_with_one_mark_are_not_confused() -> None:
    by_mark: dict[str, Source] = {}
    number = 0
    while True:
        source = Source(str(number), url=f"https://site.example/{number}")
        other = by_mark.setdefault(mark_of(source), source)
        if other is not source:
            break
        number += 1
    text = f"x 【{mark_of(source)}】"
    assert cited(text, [source, other]) == (text, [])
    assert len(cited(text, [source, source])[1]) == 1


def test_long_texts_cost_what_they_are_long() -> None:
    for hard in ("[", "[[a]", "`", "<|", "【1†", "http://", ")", "[a](http://x(", " "):
        text = "http://" + hard * 20_000
        assert cited(text, SOURCES)[0] == text
