"""Settings put into a tool's config file, and taken out again, with everything else in it left as it stands.

JSON is read and written anew, with its indentation. TOML is edited as text, since comments are worth keeping; what
comes out is parsed, and must be what was wanted.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from llama_stack.cli.connect.target import KeyPath, Settings

ABSENT: Any = object()
"""The value of a setting that is not there, or is to go."""


class NotEditable(Exception):
    """The file is not as its format has it, or is written in a way that cannot be edited safely; says why."""


class Document(Protocol):
    def parse(self, text: str) -> dict[str, Any]: ...

    def changed(self, text: str, settings: Settings) -> str:
        """The text with the settings in it; `ABSENT` takes one out. The same text, if they are as wanted already."""
        ...


def document(format: str) -> Document:
    return TomlDocument() if format == "toml" else JsonDocument()


def rendered(format: str, settings: Settings) -> str:
    """The settings alone, as a file that has nothing else."""
    return document(format).changed("", settings)


def get(data: Mapping[str, Any], path: KeyPath) -> Any:
    for key in path:
        if not isinstance(data, Mapping) or key not in data:
            return ABSENT
        data = data[key]
    return data


def put(data: dict[str, Any], path: KeyPath, value: Any) -> None:
    """Change the nested mapping in place. A table that becomes empty by taking out its last key goes, too."""
    key, rest = path[0], path[1:]
    if rest:
        inner = data.setdefault(key, {})
        if not isinstance(inner, dict):
            raise NotEditable(f"`{key}` is not a table")
        put(inner, rest, value)
        if value is ABSENT and not inner:
            del data[key]
    elif value is ABSENT:
        data.pop(key, None)
    else:
        data[key] = value


def _wanted(data: dict[str, Any], settings: Settings) -> dict[str, Any]:
    copied: dict[str, Any] = json.loads(json.dumps(data, default=str))
    for path, value in settings.items():
        put(copied, path, value)
    return copied


class JsonDocument:
    def parse(self, text: str) -> dict[str, Any]:
        if not text.strip():
            return {}
        try:
            data = json.loads(text)
        except ValueError as error:
            comments = re.search(r"^\s*(//|/\*)|,\s*[}\]]", text, re.MULTILINE)
            why = "it has comments or trailing commas, which would be lost" if comments else f"not JSON: {error}"
            raise NotEditable(why) from None
        if not isinstance(data, dict):
            raise NotEditable("it is not an object")
        return data

    def changed(self, text: str, settings: Settings) -> str:
        data = self.parse(text)
        wanted = _wanted(data, settings)
        if wanted == data and text:
            return text
        return json.dumps(wanted, indent=_indentation(text), ensure_ascii=False) + "\n"


def _indentation(text: str) -> str | int:
    found = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    return found[1] if found else 2


class TomlDocument:
    """Root keys have texts, numbers or truth values; deeper settings are whole tables of such."""

    def parse(self, text: str) -> dict[str, Any]:
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise NotEditable(f"not TOML: {error}") from None

    def changed(self, text: str, settings: Settings) -> str:
        data = self.parse(text)
        changing = {path: value for path, value in settings.items() if get(data, path) != value}
        new = text
        for path, value in reversed(changing.items()):
            new = _with_root_key(new, path[0], value) if len(path) == 1 else _with_table(new, path, value)
        if _wanted(_plain(self.parse(new)), {}) != _wanted(_plain(data), settings):
            raise NotEditable("it is written in a way that cannot be edited safely")
        return new


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    """Without empty tables, which say nothing."""
    plain = {key: _plain(value) if isinstance(value, dict) else value for key, value in data.items()}
    return {key: value for key, value in plain.items() if value != {}}


def _with_root_key(text: str, key: str, value: Any) -> str:
    lines = _lines(text)
    end = next((number for number, line in enumerate(lines) if _is_header(line)), len(lines))
    at = next((number for number in range(end) if re.match(rf'\s*"?{re.escape(key)}"?\s*=', lines[number])), None)
    new = [] if value is ABSENT else [f"{_key(key)} = {_value(value)}\n"]
    if at is not None:
        return "".join([*lines[:at], *new, *lines[at + 1 :]])
    # In front of everything: behind a table's header it would be that table's.
    gap = ["\n"] if new and lines and _is_header(lines[0]) else []
    return "".join([*new, *gap, *lines])


def _with_table(text: str, path: KeyPath, value: Any) -> str:
    """The table is written anew at the end; its former lines, and those of tables within it, go."""
    before = "".join(_without_table(text, path)).strip("\n")
    if value is ABSENT:
        return f"{before}\n" if before else ""
    lines = [f"[{'.'.join(map(_key, path))}]", *(f"{_key(key)} = {_value(each)}" for key, each in value.items())]
    table = "\n".join(lines)
    return f"{before}\n\n{table}\n" if before else f"{table}\n"


def _without_table(text: str, path: KeyPath) -> Iterator[str]:
    name = r"\s*\.\s*".join(rf'(?:{re.escape(part)}|"{re.escape(part)}")' for part in path)
    own = re.compile(rf"\s*\[\[?\s*{name}\s*[\].]")
    inside = False
    comments: list[str] = []
    for line in _lines(text):
        if _is_header(line):
            inside = own.match(line) is not None
            if not inside:
                yield from comments  # they stand above a table that stays
            comments.clear()
        if not inside:
            yield line
        elif line.lstrip().startswith("#") or (comments and not line.strip()):
            comments.append(line)
        else:
            comments.clear()


def _lines(text: str) -> list[str]:
    """As TOML has them; `splitlines` takes other characters for ends of lines, too."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _is_header(line: str) -> bool:
    return line.lstrip().startswith("[")


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _value(value: str | int | float) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
