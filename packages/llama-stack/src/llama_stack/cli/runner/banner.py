"""What a person sees when the server is up, and the one line that a log gets instead."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from llama_stack.config.load import Switch

_SERVING_SHOWN_MAX = 12
_OFF_SHOWN_MAX = 4
_COLUMNS_MIN = 40
_COLUMNS_NARROW = 64
"""Below this a label stands above what it is the label of."""
_BOLD, _DIM, _YELLOW = "1", "2", "33"
Configured: TypeAlias = Collection[tuple[str, str]]
"""APIs, each with the id of a provider."""
_JOINT = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Serving:
    """A provider that serves an API. `models` are those that are known so far; None where there are none to know."""

    api: str
    id: str
    models: int | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A running server, told. `on` are the providers that serve, `found` what turned some of them on, `missed` servers
    of this machine that were looked for in vain, `off` ids of providers with the variable that is not set, `refused`
    what did not open and why, `model` one that a first request can name, `inference` whether that is served.
    """

    version: str
    distro_name: str
    url: str
    workers: int
    authenticated: bool
    on: Sequence[Serving]
    found: Sequence[str]
    missed: Sequence[str]
    off: Sequence[tuple[str, str]]
    refused: Sequence[str]
    warnings: Sequence[str]
    inference: bool
    model: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Look:
    """The terminal. Lines are wrapped at its width, save what is to be pasted."""

    columns: int = 80
    coloured: bool = False

    def painted(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.coloured else text


def turned_off(switches: Iterable[Switch], on: Configured) -> list[tuple[str, str]]:
    """Ids of providers that a config's environment leaves out, each with the variable that would turn it on."""
    off = ((switch.provider_id, switch.variable) for switch in switches if switch[:2] not in on)
    return list(dict.fromkeys(off))


def turned_on(switches: Iterable[Switch], on: Configured) -> list[str]:
    """The variables that have turned a provider on."""
    return list(dict.fromkeys(switch.variable for switch in switches if switch[:2] in on))


def banner(started: Started, look: Look = Look()) -> str:
    workers = f" · {started.workers} workers" if started.workers > 1 else ""
    # A browser cannot send a key.
    docs = "" if started.authenticated else f" · docs: {started.url}/docs"
    head = f"Llama Stack {started.version} · {started.distro_name} · ready in {started.seconds:.1f} s"
    url = look.painted(started.url, _BOLD)
    serving, around = list(_by_api(started.on)), list(_surroundings(started))
    labels = max((len(label) for label, _ in (*serving, *around)), default=0)
    sections = [
        _rows(look, serving, labels),
        _rows(look, around, labels),
        [line for message in (*started.refused, *started.warnings) for line in _note(look, message)],
        _try_it(started),
    ]
    lines = [head, f"{url}{workers}{docs}" if look.columns >= _COLUMNS_NARROW else f"{url}{workers}"]
    for section in sections:
        lines += ["", *section] if section else []
    return "\n".join([*lines, "", "Ctrl-C stops the server."])


def log_fields(started: Started) -> dict[str, Any]:
    return {
        "url": started.url,
        "distribution": started.distro_name,
        "version": started.version,
        "workers": started.workers,
        "providers": [serving.id for serving in started.on],
        "refused": list(started.refused),
        "start_s": round(started.seconds, 3),
    }


def _by_api(on: Iterable[Serving]) -> Iterator[tuple[str, str]]:
    apis: dict[str, list[str]] = {}
    for serving in on:
        apis.setdefault(serving.api, []).append(_told(serving))
    for api, ids in apis.items():
        more = len(ids) - _SERVING_SHOWN_MAX
        yield api, _listed(ids[:_SERVING_SHOWN_MAX], more)


def _told(serving: Serving) -> str:
    if serving.models is None:
        return serving.id
    known = f"{serving.models} model{'s' * (serving.models != 1)}" if serving.models else "no model yet"
    return f"{serving.id} ({known})".replace(" ", _JOINT)


def _surroundings(started: Started) -> Iterator[tuple[str, str]]:
    if started.found:
        yield "found", _listed([each.replace(" ", _JOINT) for each in started.found])
    if started.missed:
        yield "not found", _listed([each.replace(" ", _JOINT) for each in started.missed])
    if started.off:
        shown = [f"{provider_id} ({variable})".replace(" ", _JOINT) for provider_id, variable in started.off]
        more = len(shown) - _OFF_SHOWN_MAX
        yield "off", f"{_listed(shown[:_OFF_SHOWN_MAX], more)}: set the variable to turn one on"


def _listed(items: Sequence[str], more: int = 0) -> str:
    others = f"and {more} more".replace(" ", _JOINT)
    return f"{', '.join(items)}{f' {others}' if more > 0 else ''}"


def _rows(look: Look, rows: Iterable[tuple[str, str]], labels: int) -> list[str]:
    lines = []
    narrow = look.columns < _COLUMNS_NARROW
    for label, text in rows:
        wrapped = _wrapped(text, look, " " * (4 if narrow else labels + 4))
        shown = look.painted(label if narrow else label.ljust(labels), _DIM)
        lines += [f"  {shown}", *wrapped] if narrow else [f"  {shown}  {wrapped[0].lstrip()}", *wrapped[1:]]
    return lines


def _note(look: Look, message: str) -> list[str]:
    first, *others = _wrapped(message, look, "    ")
    return [f"  {look.painted('!', _YELLOW)} {first.lstrip()}", *others]


def _wrapped(text: str, look: Look, indent: str) -> list[str]:
    lines = textwrap.wrap(
        text,
        max(look.columns, _COLUMNS_MIN),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_JOINT, " ") for line in lines]


def _try_it(started: Started) -> list[str]:
    """Lines so short that no terminal breaks them, which what is pasted may not survive."""
    key = ['    -H "Authorization: Bearer $LLAMA_STACK_API_KEY"'] if started.authenticated else []
    if started.model is None:
        first = f"  curl {started.url}/v1/{'models' if started.inference else 'inspect/routes'}"
        return _continued([first, *key])
    messages = json.dumps([{"role": "user", "content": "Say hello."}])
    body = f'{{\n    "model": {json.dumps(started.model)},\n    "messages": {messages}}}'
    sent = f"    -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    return _continued([f"  curl {started.url}/v1/chat/completions", *key, sent])


def _continued(lines: Sequence[str]) -> list[str]:
    return [*(f"{line} \\" for line in lines[:-1]), *lines[-1].split("\n")]
