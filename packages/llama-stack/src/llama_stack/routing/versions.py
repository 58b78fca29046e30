"""Versions of packages, and what may be wanted of them: `==1.2`, `>=1,<2`, `~=1.4`."""

from __future__ import annotations

import re

_CLAUSE = re.compile(r"(?P<sign>===?|~=|!=|<=|>=|<|>)\s*(?P<version>[\w.*+!-]+)")


def satisfies(installed: str, wanted: str) -> bool:
    """Whether a version is within all clauses of `wanted`. `ValueError` if one of them is none."""
    clauses = [_CLAUSE.fullmatch(each.strip()) for each in wanted.split(",") if each.strip()]
    if None in clauses:
        raise ValueError(wanted)
    return all(_fits(installed, clause["sign"], clause["version"]) for clause in clauses if clause is not None)


def _fits(installed: str, sign: str, version: str) -> bool:
    if sign in ("==", "===", "!="):
        is_same = _is_prefix(version[:-2], installed) if version.endswith(".*") else _same(version, installed)
        return is_same is (sign != "!=")
    if sign == "~=":
        return _release(installed) >= _release(version) and _is_prefix(version.rpartition(".")[0], installed)
    have, want = _release(installed), _release(version)
    return {"<": have < want, "<=": have <= want, ">": have > want, ">=": have >= want}[sign]


def _same(one: str, other: str) -> bool:
    return _release(one) == _release(other) and _suffix(one) == _suffix(other)


def _is_prefix(version: str, installed: str) -> bool:
    parts = re.findall(r"\d+", version)
    return re.findall(r"\d+", installed)[: len(parts)] == parts


def _release(version: str) -> tuple[int, ...]:
    """The numbers in front, without zeros at their end: 1.2 is 1.2.0."""
    matched = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(each) for each in matched[0].split(".")] if matched else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _suffix(version: str) -> str:
    return re.sub(r"^\d+(\.\d+)*", "", version).lower().replace("-", "").replace("_", "").removeprefix(".")
