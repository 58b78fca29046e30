from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.config.env import MissingVariable, convert, expand_text, has_malformed_reference, substitute

HOME = Path("/home/someone")
NAMES = st.text("ABCXYZ0123456789_", min_size=1, max_size=12)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.mark.parametrize(
    ("text", "environ", "result"),
    [
        ("${env.A}", {"A": "x"}, "x"),
        ("${env.A:=d}", {}, "d"),
        ("${env.A:=d}", {"A": ""}, "d"),
        ("${env.A:=d}", {"A": "x"}, "x"),
        ("${env.A:=}", {}, ""),
        ("${env.A:=http://host:80/v1?a=b}", {}, "http://host:80/v1?a=b"),
        ("${env.A:+on}", {}, ""),
        ("${env.A:+on}", {"A": ""}, ""),
        ("${env.A:+on}", {"A": "x"}, "on"),
        ("${env.A:+}", {"A": "x"}, ""),
        ("${env.A}:${env.B:=2}/${env.C:+c}", {"A": "1", "C": "x"}, "1:2/c"),
        ("${env.A}", {"A": "${env.B}", "B": "x"}, "${env.B}"),
        ("${env.a}", {"a": "x"}, "${env.a}"),
        ("$A ${A} {env.A}", {"A": "x"}, "$A ${A} {env.A}"),
        ("${env.A:-d}", {"A": "x"}, "${env.A:-d}"),
    ],
)
def test_substitution(text: str, environ: dict[str, str], result: str) -> None:
    assert substitute(text, environ) == result


@pytest.mark.parametrize("environ", [{}, {"KEY": ""}])
def test_a_required_variable_must_hold_something(environ: dict[str, str]) -> None:
    with pytest.raises(MissingVariable) as caught:
        substitute("x${env.KEY}", environ)
    assert caught.value.name == "KEY"


@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), ("true", True), ("FALSE", False), ("8321", 8321), ("-5", -5), ("0", 0), ("0.5", 0.5), ("-1.5", -1.5)],
)
def test_plain_values_convert(text: str, value: object) -> None:
    assert convert(text) == value
    assert type(convert(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "007",
        "1e5",
        "nan",
        "inf",
        "-inf",
        "0x1",
        "1_000",
        "+1",
        "-0",
        "1.",
        ".5",
        "1.10",
        " 1",
        "1 ",
        "٣",
        "null",
        "yes",
        "1" * 40,
        "0.1000000000000000055",
    ],
)
def test_what_is_not_plainly_a_number_stays_as_written(text: str) -> None:
    assert convert(text) == text
    assert isinstance(convert(text), str)


def test_only_substituted_text_converts() -> None:
    assert expand_text("123", {}, HOME) == "123"
    assert expand_text("true", {}, HOME) == "true"
    assert expand_text("${env.N:=123}", {}, HOME) == 123
    assert expand_text("${env.N:=}", {}, HOME) is None
    assert expand_text("80${env.N:=00}", {}, HOME) == 8000


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${env.D:=~/x}/db", "/home/someone/x/db"),
        ("${env.D:=~}", "/home/someone"),
        ("${env.D:=~other/x}", "~other/x"),
        ("a${env.D:=~/x}", "a~/x"),
        ("~/x", "~/x"),
    ],
)
def test_a_tilde_that_substitution_brings_in_is_the_home_directory(text: str, result: str) -> None:
    assert expand_text(text, {}, HOME) == result


@pytest.mark.parametrize(
    ("text", "malformed"),
    [
        ("${env.A}", False),
        ("${env.a}", True),
        ("${env.A:-x}", True),
        ("${env.A", True),
        ("${env.A} ${env.b}", True),
        ("${env.A:=${env.B}}", True),
        ("${env.A:=$}", False),
    ],
)
def test_malformed_references_are_noticed(text: str, malformed: bool) -> None:
    assert has_malformed_reference(text) is malformed


@given(name=NAMES, value=VALUES, prefix=VALUES, suffix=VALUES)
def test_a_set_variable_arrives_unchanged(name: str, value: str, prefix: str, suffix: str) -> None:
    environ = {name: value} if value else {name: "x"}
    if "${env." not in prefix + suffix:
        assert substitute(f"{prefix}${{env.{name}}}{suffix}", environ) == f"{prefix}{environ[name]}{suffix}"


@given(name=NAMES, default=VALUES.filter(lambda text: "}" not in text), value=VALUES)
def test_default_and_conditional_are_complementary(name: str, default: str, value: str) -> None:
    environ = {name: value}
    assert substitute(f"${{env.{name}:={default}}}", environ) == (value or default)
    assert substitute(f"${{env.{name}:+{default}}}", environ) == (default if value else "")


@given(VALUES)
def test_conversion_loses_nothing(text: str) -> None:
    value = convert(text)
    if isinstance(value, bool):
        assert str(value).lower() == text.lower()
    else:
        assert ("" if value is None else str(value)) == text


@given(st.lists(st.sampled_from(["${env.A:=x}", "${env.A:+x}", "${env.a}", "$", "{", "}", "env", "."]), max_size=12))
def test_only_references_change(pieces: list[str]) -> None:
    values = {"${env.A:=x}": "x", "${env.A:+x}": ""}
    assert substitute("".join(pieces), {}) == "".join(values.get(piece, piece) for piece in pieces)
