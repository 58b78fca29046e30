"""Tools that a request names by type alone, because Anthropic's models know them: what other models must be told.

Those that the client runs (bash, text editor, memory, computer) and those that a server runs and ours can run too (web
search and fetch) are functions with the input that Anthropic documents for them. Others (code execution, tool search,
whole toolsets) nobody here would answer: they are left out.

Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llama_stack.dialects.chat.values import Json


class KnownTool(NamedTuple):
    """`type` is how a tool's type begins; a date follows it."""

    type: str
    description: str
    parameters: Json


def known_tool(kind: str) -> KnownTool | None:
    """The tool of a type such as `bash_20250124`, if it is one that a model can be told of."""
    return next((tool for tool in _tools() if kind.startswith(tool.type)), None)


def _tools() -> tuple[KnownTool, ...]:
    return (
        KnownTool(
            "bash_",
            "Runs a command in a bash session that keeps its state between calls.",
            _object(
                {
                    "command": _text("The command to run. Needed unless `restart` is true."),
                    "restart": {"type": "boolean", "description": "Start the session anew."},
                }
            ),
        ),
        KnownTool("text_editor_", "Views, creates and edits text files.", _editor()),
        KnownTool("memory_", "Views and edits files under /memories, which last from one chat to the next.", _memory()),
        KnownTool("computer_", "Uses the screen, the mouse and the keyboard of a computer.", _computer()),
        KnownTool(
            "web_search_",
            "Searches the web and returns titles, addresses and excerpts of pages.",
            _object({"query": _text("What to search for.")}, "query"),
        ),
        KnownTool(
            "web_fetch_",
            "Fetches the page or document at an address and returns its text.",
            _object({"url": _text("The whole address, with https://.")}, "url"),
        ),
    )


def _editor() -> Json:
    return _object({
        "command": _one_of("view", "create", "str_replace", "insert", "undo_edit"),
        "path": _text("Path of the file or directory."),
        "view_range": _array("integer", "First and last line to view, from 1; -1 is the end of the file."),
        "file_text": _text("What the file to create holds."),
        "old_str": _text("The text to replace. It must occur exactly once."),
        "new_str": _text("The text in its place, or the text to insert."),
        "insert_line": {"type": "integer", "description": "The line after which to insert; 0 is the beginning."},
        "insert_text": _text("The text to insert."),
    }, "command", "path")  # fmt: skip


def _memory() -> Json:
    return _object({
        "command": _one_of("view", "create", "str_replace", "insert", "delete", "rename"),
        "path": _text("Path of the file or directory, under /memories."),
        "view_range": _array("integer", "First and last line to view, from 1."),
        "file_text": _text("What the file to create holds."),
        "old_str": _text("The text to replace. It must occur exactly once."),
        "new_str": _text("The text in its place."),
        "insert_line": {"type": "integer", "description": "The line after which to insert; 0 is the beginning."},
        "insert_text": _text("The text to insert."),
        "old_path": _text("The path to rename."),
        "new_path": _text("The new path."),
    }, "command")  # fmt: skip


def _computer() -> Json:
    return _object({
        "action": _one_of(
            "screenshot", "left_click", "right_click", "middle_click", "double_click", "triple_click", "mouse_move",
            "left_click_drag", "left_mouse_down", "left_mouse_up", "type", "key", "hold_key", "scroll", "wait",
            "cursor_position", "zoom",
        ),
        "coordinate": _array("integer", "x and y, in pixels from the upper left."),
        "start_coordinate": _array("integer", "Where a drag begins."),
        "text": _text("The text to type, or the key to press."),
        "scroll_direction": _one_of("up", "down", "left", "right"),
        "scroll_amount": {"type": "integer"},
        "duration": {"type": "number", "description": "Seconds."},
        "region": _array("integer", "Left, top, right and bottom of what to zoom into."),
    }, "action")  # fmt: skip


def _object(properties: Json, *required: str) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


def _text(description: str) -> Json:
    return {"type": "string", "description": description}


def _one_of(*values: str) -> Json:
    return {"type": "string", "enum": list(values)}


def _array(kind: str, description: str) -> Any:
    return {"type": "array", "items": {"type": kind}, "description": description}
