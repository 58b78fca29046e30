"""The weights come from the training set of this repository, and do what the documentation says."""

from pathlib import Path

import numpy as np
import pytest
from training.safety_classifier.measure import Measured, measured
from training.safety_classifier.samples import digest, samples, sections
from training.safety_classifier.train import corpus_of

from llama_stack.providers._shared.safety.linear_model import load, saved

HELD_OUT = Path(__file__).with_name("heldout.txt")


@pytest.fixture(scope="module")
def held_out() -> Measured:
    return measured(load(), HELD_OUT)


def test_the_weights_are_those_of_the_training_set_as_it_stands() -> None:
    assert load().digest == digest(), "run `python -m training.safety_classifier.train`"


def test_the_weights_know_their_training_set() -> None:
    """Training again takes too long here; weights of another set would not fit this one so well."""
    model, some = load(), samples()[::30]
    wrong = 0
    for sample in some:
        flagged = {name for name, score in model.scores(sample.text).items() if score >= 0.5}
        wrong += len(flagged ^ sample.labels)
    assert wrong / len(some) < 0.05


def test_saved_weights_are_read_as_they_were(tmp_path: Path) -> None:
    model = load()
    path = tmp_path / "again"
    path.write_bytes(saved(model))
    again = load(path)
    assert (again.weights == model.weights).all()
    assert again.digest == model.digest
    np.testing.assert_allclose(again.scales, model.scales, rtol=1e-4)


def test_the_training_set_is_the_same_every_time_and_has_every_category() -> None:
    some = samples()
    assert some == samples()
    labels = corpus_of(some[::40]).labels
    assert (labels.sum(axis=0) > 0).all()
    assert (labels.sum(axis=1) == 0).any()


def test_no_held_out_sentence_is_in_the_training_set() -> None:
    trained = {sample.text.casefold() for sample in samples()}
    tested = {text.casefold() for _, texts in sections(HELD_OUT) for text in texts}
    assert len(tested) >= 150
    assert not trained & tested


def test_held_out_sentences_are_told_apart(held_out: Measured) -> None:
    assert held_out.harmful_flagged / held_out.harmful >= 0.65
    assert held_out.harmless_flagged / held_out.harmless <= 0.10


@pytest.mark.parametrize(
    ("category", "precision", "recall"),
    [
        ("harassment", 0.8, 0.5),
        ("hate", 0.8, 0.5),
        ("illicit", 0.9, 0.5),
        ("self-harm", 0.8, 0.7),
        ("sexual", 0.9, 0.7),
        ("violence", 0.8, 0.6),
        ("prompt-injection", 0.75, 0.7),
    ],
)
def test_held_out_precision_and_recall(held_out: Measured, category: str, precision: float, recall: float) -> None:
    assert held_out.precision(category) >= precision
    assert held_out.recall(category) >= recall
