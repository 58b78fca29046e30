import pytest

from llama_stack.config.lines import BYTES_MAX, DEPTH_MAX, parse_yaml
from llama_stack.config.problem import ConfigError


def _failure(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text)
    return str(caught.value)


def test_every_key_and_item_has_its_line() -> None:
    document = parse_yaml("a: 1\n\nb:\n  # comment\n  - c: x\n    d: {e: 2}\n  - f\n")
    assert document.data == {"a": 1, "b": [{"c": "x", "d": {"e": 2}}, "f"]}
    assert document.line_of(("a",)) == 1
    assert document.line_of(("b", 0, "c")) == 5
    assert document.line_of(("b", 0, "d", "e")) == 6
    assert document.line_of(("b", 1)) == 7


def test_what_is_not_there_has_the_line_of_what_surrounds_it() -> None:
    document = parse_yaml("a: 1\nb:\n  c: 2\n")
    assert document.line_of(("b", "missing", "deeper")) == 2
    assert document.line_of(("missing",)) is None
    assert document.line_of(()) is None


def test_duplicate_keys_are_reported_with_both_lines() -> None:
    [problem] = parse_yaml("a:\n  b: 1\n  c: 2\n  b: 3\n").problems
    assert problem.path == ("a", "b")
    assert problem.line == 4
    assert "line 2" in problem.message


def test_merged_keys_are_no_duplicates() -> None:
    document = parse_yaml("base: &base\n  x: 1\n  y: 2\nuse:\n  <<: *base\n  y: 3\n")
    assert document.problems == []
    assert document.data["use"] == {"x": 1, "y": 3}
    assert document.line_of(("use", "x")) == 2
    assert document.line_of(("use", "y")) == 6


def test_syntax_errors_name_the_line() -> None:
    assert "line 3" in _failure("a: 1\nb: 2\n  c: [\n")


@pytest.mark.parametrize(
    "text",
    ["!!python/object/apply:os.system ['true']", "a: 1\n---\nb: 2\n", "{[1, 2]: x}", "a: *nowhere", "d: 2024-99-99"],
)
def test_what_is_not_plain_yaml_is_refused(text: str) -> None:
    assert "not valid YAML" in _failure(text)


def test_an_empty_file_has_no_data() -> None:
    assert parse_yaml("# nothing\n").data is None


def test_size_depth_and_expansion_are_bounded() -> None:
    assert "larger than" in _failure("a: " + "x" * BYTES_MAX)
    assert "nested deeper" in _failure("[" * (DEPTH_MAX + 2) + "]" * (DEPTH_MAX + 2))
    assert "nested deeper" in _failure("a: &a [*a]")
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8)
    )
    assert "aliases included" in _failure(laughs)


def test_endless_brackets_end_in_an_error() -> None:
    assert "YAML" in _failure("[" * 20_000)
