"""Words mean the same to every engine: what is indexed and what is asked for are cut alike."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.rag.words import EMPTY_WORDS, WORD_CHARACTERS_MAX, indexed_words, query_words, words_of

TEXT = st.text() | st.text(alphabet="aÀß İıǅ\u0301\u0345ﬁ日本한국\u3099かไท่าक्षि👍🏽🇩🇪\u200d\ufe0f१٣ⅷ½\u00ad")


@given(TEXT)
def test_the_words_of_words_are_the_same(text: str) -> None:
    words = words_of(text)
    assert words_of(" ".join(words)) == words


@given(TEXT)
def test_a_word_has_no_space_and_is_not_empty_nor_long(text: str) -> None:
    for word in words_of(text):
        assert word.split() == [word]
        assert len(word) <= WORD_CHARACTERS_MAX
        assert word[0].isalnum()


@given(TEXT)
def test_case_does_not_matter(text: str) -> None:
    assert words_of(unicodedata.normalize("NFKD", text).casefold()) == words_of(text)


@given(TEXT, TEXT)
def test_words_are_cut_at_spaces_whatever_stands_beside(left: str, right: str) -> None:
    assert words_of(f"{left} {right}") == [*words_of(left), *words_of(right)]


@given(TEXT)
def test_a_query_has_each_word_once(text: str) -> None:
    words = set(words_of(text))
    assert sorted(query_words(text)) == sorted(words - EMPTY_WORDS or words)


def test_a_query_is_about_its_telling_words() -> None:
    assert query_words("How do I reset the device?") == ("reset", "device")
    assert query_words("To be, or not to be") == ("to", "be", "or", "not")
    assert query_words("?!") == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The quick-brown FOX's 3.5 tails, foo_bar", "the quick brown fox s 3 5 tails foo bar"),
        ("Größe CAFÉ cafe\u0301 naïve İstanbul", "grosse cafe cafe naive istanbul"),
        ("ﬁne Ⅷ ½ ①", "fine viii 1 2 1"),
        ("Ёлка Ἀθῆναι שָׁלוֹם كِتَاب", "елка αθηναι שלום كتاب"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zero width"),
        ("日本語の本", "日本 本語 語の の本"),
        ("東", "東"),
        ("東京Tower2024年", "東京 tower2024 年"),
        ("ﾊﾞｽ", "バス"),
        ("한국어", "한국 국어"),
        ("ที่นี่", "ที่นี่"),
        ("👍🏽 👩‍👩‍👧 🇩🇪 ☃️ ok?!", "ok"),
        ("a\ud800b", "a b"),
        ("!? …", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_words(text: str, words: str) -> None:
    assert indexed_words(text) == words
