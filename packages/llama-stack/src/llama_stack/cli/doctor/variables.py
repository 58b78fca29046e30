"""Environment variables: those that look misspelt, and what the others turn on."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches

from llama_stack.cli.doctor.finding import Finding, ok, warning
from llama_stack.config.env import REFERENCE

_CLOSE = 0.88
_LOOKS_LIKE_ONE = re.compile(r"(KEY|TOKEN|URL|HOST|BASE|SECRET)S?$")
_SAYS_LITTLE = re.compile(r"API|KEYS?|TOKEN|_")


def referenced(texts: Iterable[str]) -> set[str]:
    """The variables that configs name in `${env…}`."""
    return {match[1] for text in texts for match in REFERENCE.finditer(text)}


def check_variables(environ: Mapping[str, str], known: Collection[str]) -> Iterator[Finding]:
    """`known` are the variables that some config names. Values are not looked at."""
    unset = [name for name in known if not environ.get(name)]
    found = False
    for name, value in sorted(environ.items()):
        if not value or name in known or not _LOOKS_LIKE_ONE.search(name):
            continue
        meant = _meant(name, unset)
        if meant is not None:
            found = True
            yield warning("environment", f"{name} is set, which nothing reads; {meant} is not", f"Rename it to {meant}")
    if not found:
        yield ok("environment", "no variable looks misspelt")


def _meant(name: str, unset: Collection[str]) -> str | None:
    core = _SAYS_LITTLE.sub("", name)
    # A key for somebody is a key, whatever the words around the name are.
    same = [each for each in unset if core and _SAYS_LITTLE.sub("", each) == core and _is_key(each) == _is_key(name)]
    near = get_close_matches(name, unset, n=1, cutoff=_CLOSE)
    return next(iter(sorted(same) or near), None)


def _is_key(name: str) -> bool:
    return re.search(r"KEYS?$|TOKENS?$", name) is not None
