"""Settings put into config files of others, and taken out again."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.cli.connect.documents import ABSENT, NotEditable, document, get, put, rendered
from llama_stack.cli.connect.target import Settings

CODEX: Settings = {
    ("model",): "a/b",
    ("model_provider",): "llama-stack",
    ("model_providers", "llama-stack"): {"name": "Llama Stack", "base_url": "http://h/v1"},
}
CLAUDE: Settings = {("env", "ANTHROPIC_BASE_URL"): "http://h", ("apiKeyHelper",): "printenv KEY"}

TOML = """\
# My settings
model = "gpt-5"   # the best
approval_policy = "on-request"

[model_providers.other]
name = "Other" # keep
base_url = "http://other/v1"

# About the tools
[mcp_servers.docs]
command = "docs"
"""


def test_toml_from_nothing() -> None:
    assert rendered("toml", CODEX) == (
        'model = "a/b"\nmodel_provider = "llama-stack"\n\n'
        '[model_providers.llama-stack]\nname = "Llama Stack"\nbase_url = "http://h/v1"\n'
    )


def test_toml_keeps_what_is_there_comments_and_all() -> None:
    text = document("toml").changed(TOML, CODEX)
    data = tomllib.loads(text)
    assert data["model"] == "a/b"
    assert data["model_provider"] == "llama-stack"
    assert data["approval_policy"] == "on-request"
    assert set(data["model_providers"]) == {"other", "llama-stack"}
    kept = [line for line in TOML.splitlines() if not line.startswith("model =")]
    assert [line for line in text.splitlines() if line in kept and line] == [line for line in kept if line]


def test_toml_is_replaced_where_it_stands_and_not_twice() -> None:
    editor = document("toml")
    once = editor.changed(TOML, CODEX)
    assert editor.changed(once, CODEX) == once
    moved = editor.changed(once, {**CODEX, ("model",): "c/d"})
    assert moved == once.replace('"a/b"', '"c/d"')
    longer = {**CODEX, ("model_providers", "llama-stack"): {"name": "x"}}
    assert tomllib.loads(editor.changed(once, longer))["model_providers"]["llama-stack"] == {"name": "x"}


def test_toml_is_taken_out_again() -> None:
    editor = document("toml")
    back = {**dict.fromkeys(CODEX, ABSENT), ("model",): "gpt-5"}
    restored = editor.changed(editor.changed(TOML, CODEX), back)
    assert tomllib.loads(restored) == tomllib.loads(TOML)
    assert "# About the tools\n[mcp_servers.docs]" in restored


def test_a_comment_behind_our_table_stays_with_the_table_that_it_is_above() -> None:
    text = '[model_providers.llama-stack]\nname = "old"\n\n# About the tools\n[mcp_servers.docs]\ncommand = "docs"\n'
    changed = document("toml").changed(text, CODEX)
    assert "# About the tools\n[mcp_servers.docs]" in changed
    assert tomllib.loads(changed)["model_providers"]["llama-stack"]["base_url"] == "http://h/v1"


@pytest.mark.parametrize(
    "text",
    [
        'model_providers = {other = {name = "x"}}\n',
        'notes = """\n[not a table]\n"""\nmodel = "x"\n',
        'notes = """\nmodel = "x"\n"""\n',
    ],
    ids=["an inline table", "a header in a text", "a key in a text"],
)
def test_toml_that_cannot_be_edited_safely_is_left_alone_or_right(text: str) -> None:
    try:
        changed = document("toml").changed(text, CODEX)
    except NotEditable:
        return
    wanted = tomllib.loads(text)
    for path, value in CODEX.items():
        put(wanted, path, value)
    assert tomllib.loads(changed) == wanted


@pytest.mark.parametrize("format", ["toml", "json"])
def test_what_is_not_of_the_format_is_said(format: str) -> None:
    with pytest.raises(NotEditable, match=r"not (TOML|JSON)"):
        document(format).changed("= nonsense", CODEX)


def test_json_keeps_what_is_there_and_its_indentation() -> None:
    text = '{\n    "permissions": {"allow": ["Bash"]},\n    "env": {"EDITOR": "vi"}\n}\n'
    changed = document("json").changed(text, CLAUDE)
    assert json.loads(changed) == {
        "permissions": {"allow": ["Bash"]},
        "env": {"EDITOR": "vi", "ANTHROPIC_BASE_URL": "http://h"},
        "apiKeyHelper": "printenv KEY",
    }
    assert '\n    "permissions"' in changed
    assert document("json").changed(changed, CLAUDE) == changed


def test_json_is_taken_out_again_with_tables_that_are_empty_then() -> None:
    editor = document("json")
    text = '{\n  "model": "opus"\n}\n'
    assert editor.changed(editor.changed(text, CLAUDE), dict.fromkeys(CLAUDE, ABSENT)) == text


@pytest.mark.parametrize("text", ['{\n  // mine\n  "model": "x"\n}', '{"model": "x",}'])
def test_json_with_comments_is_left_alone(text: str) -> None:
    with pytest.raises(NotEditable, match="comments or trailing commas"):
        document("json").changed(text, CLAUDE)


@pytest.mark.parametrize("text", ["[1]", '{"env": 1}'])
def test_json_of_another_shape_is_left_alone(text: str) -> None:
    with pytest.raises(NotEditable):
        document("json").changed(text, CLAUDE)


NAMES = st.text("abcXYZ09-_ .\"'é", min_size=1, max_size=8)
VALUES = st.one_of(st.text(max_size=12), st.integers(-(2**40), 2**40), st.booleans())
TABLES = st.dictionaries(NAMES, VALUES, max_size=3)
FILES = st.dictionaries(NAMES, VALUES, max_size=4)


def as_toml(root: dict[str, Any], tables: dict[str, dict[str, Any]]) -> str:
    def key(name: str) -> str:
        return json.dumps(name, ensure_ascii=False)

    def lines(table: dict[str, Any]) -> str:
        return "".join(f"{key(name)} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in table.items())

    return lines(root) + "".join(f"\n[others.{key(name)}]\n{lines(table)}" for name, table in tables.items())


def is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


@given(root=FILES, tables=st.dictionaries(NAMES, TABLES, max_size=3), model=st.text(max_size=20))
def test_whatever_a_toml_file_has_it_has_afterwards(
    root: dict[str, Any], tables: dict[str, dict[str, Any]], model: str
) -> None:
    text = as_toml(root, tables)
    if not is_toml(text) or not is_toml(f"x = {json.dumps(model, ensure_ascii=False)}".replace("\x7f", "")):
        return
    settings: Settings = {**CODEX, ("model",): model}
    editor = document("toml")
    changed = editor.changed(text, settings)
    data = tomllib.loads(changed)
    assert all(get(data, path) == value for path, value in settings.items())
    before = tomllib.loads(text)
    back = editor.changed(changed, {path: get(before, path) for path in settings})
    assert tomllib.loads(back) == before
