"""The code in a text: fenced blocks of Markdown, strings of a tool call's arguments, or the text itself."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import Any, Final

LANGUAGES: Final = {
    "py": "python", "python3": "python", "ipython": "python", "cpp": "c", "c++": "c", "cc": "c", "h": "c", "hpp": "c",
    "js": "javascript", "jsx": "javascript", "ts": "javascript", "tsx": "javascript", "typescript": "javascript",
    "node": "javascript", "golang": "go", "rb": "ruby", "sh": "shell", "bash": "shell", "zsh": "shell",
    "console": "shell", "mysql": "sql", "postgresql": "sql", "sqlite": "sql", "tsql": "sql", "plsql": "sql",
}  # fmt: skip
"""Other names of the languages that there are rules for."""
PROSE: Final = frozenset(("text", "txt", "markdown", "md", "json", "yaml", "yml", "toml", "xml", "csv", "diff", "log"))
BLOCKS_MAX: Final = 1000
_FENCE: Final = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([\w+#.-]{0,30})")
_CODE_LINE: Final = re.compile(
    r"[;{}]\s*$|^\s*(?:#include\b|import \w|from [\w.]+ import\b|def \w+\(|class \w+[(:{]|func \w+\(|<\?php|#!/|"
    r"(?:public|private|static|const|let|var|return|package) |[\w.]+\([^)]{0,200}\)$|[\w.$]+ ?(?:=|:=|\+=) ?\S)"
)
_CODE_LINES_SHARE: Final = 0.5
"""Of the lines of a text without fences, from which on it is code itself."""


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """`language` is empty where nobody says what it is; `first_line` is that of the code in the text, from 1."""

    language: str
    code: str
    first_line: int


def code_blocks(text: str) -> list[CodeBlock]:
    if text.lstrip()[:1] in ("{", "[") and (arguments := _parsed(text)) is not None:
        return [block for value in _strings(arguments) for block in code_blocks_of_text(value)]
    return code_blocks_of_text(text)


def code_blocks_of_text(text: str) -> list[CodeBlock]:
    fenced = _fenced(text)
    if fenced:
        return fenced
    return [CodeBlock("", text, 1)] if _is_code(text) else []


def _fenced(text: str) -> list[CodeBlock]:
    """A block whose end is missing goes on to the end of the text: the model may still be writing."""
    blocks: list[CodeBlock] = []
    fence, language, first, lines = "", "", 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        found = _FENCE.match(line)
        if not fence:
            if found:
                fence, language, first, lines = found[1], found[2].lower(), number + 1, []
        elif found and found[1].startswith(fence) and not found[2]:
            blocks.append(_block(language, lines, first))
            fence = ""
        else:
            lines.append(line)
    if fence:
        blocks.append(_block(language, lines, first))
    return [block for block in blocks if block.language not in PROSE][:BLOCKS_MAX]


def _block(language: str, lines: list[str], first: int) -> CodeBlock:
    return CodeBlock(LANGUAGES.get(language, language), "\n".join(lines), first)


def _is_code(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return False
    marked = sum(_CODE_LINE.search(line[:500]) is not None for line in lines)
    return marked >= len(lines) * _CODE_LINES_SHARE or _is_python(text)


def _is_python(text: str) -> bool:
    """A sentence may parse too ("print"), but does nothing."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, ast.Import | ast.ImportFrom | ast.Call | ast.FunctionDef) for node in ast.walk(tree))


def _parsed(text: str) -> dict[str, Any] | list[Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _strings(value: Any) -> list[str]:
    found, waiting = [], [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found
