"""How deep a JSON body nests, found without parsing it."""

from __future__ import annotations

from llama_stack_api.errors import InvalidRequest

_BRACKETS = b"[]{}"
# Leaves quotes and brackets only, with braces written as brackets: for depth they are the same.
_KEEP = frozenset(_BRACKETS + b'"')
_DROPPED = bytes(byte for byte in range(256) if byte not in _KEEP)
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")


def check_depth(body: bytes, depth_max: int) -> None:
    """Raise if arrays and objects nest deeper than `depth_max`.

    A body with no more opening brackets than that needs no closer look, which holds for nearly every request. The
    closer look peels one level of nesting per pass, each a single scan in C. A body that is not balanced is left to the
    parser to refuse.
    """
    if body.count(b"[") + body.count(b"{") <= depth_max:
        return
    text = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_AS_SQUARE, _DROPPED)
    structure = b"".join(text.split(b'"')[::2])
    for _ in range(depth_max):
        inner = structure.replace(b"[]", b"")
        if len(inner) == len(structure):
            return
        structure = inner
    if b"[]" in structure:
        raise InvalidRequest(
            f"The body nests arrays and objects deeper than {depth_max} levels; server.limits.json_depth_max raises "
            "that limit.",
            code="json_too_deep",
        )
