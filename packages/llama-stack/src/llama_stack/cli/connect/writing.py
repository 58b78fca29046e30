"""Settings written into a tool's config file, with a backup and a record by which they can be taken out again.

The record is in `~/.llama/connect/`, readable by its owner alone: which settings were written, where, and the backup.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llama_stack.cli.connect.documents import ABSENT, NotEditable, document, get
from llama_stack.cli.connect.target import ConfigFile, KeyPath, Settings
from llama_stack.cli.failure import Failure
from llama_stack.config.paths import llama_dir

BACKUP_SUFFIX = ".before-llama-stack"
_SECRET = re.compile(r'(?i)("?[\w.-]*(?:api_?key|token|secret|password)"?\s*[:=]\s*)"(?!\{env:)[^"]*"')
"""A value in a diff that may be somebody's secret."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to a file; the texts are equal if there was nothing to do. `kept` are settings that an undo left
    alone, because they were changed since."""

    path: Path
    before: str
    after: str
    backup: Path | None = None
    kept: tuple[str, ...] = ()

    def diff(self) -> str:
        """Unified, with what may be a secret masked."""
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), str(self.path), str(self.path), n=1, lineterm=""
        )
        return "\n".join(_SECRET.sub(r'\1"***"', line) for line in lines)


def write(tool: str, file: ConfigFile, settings: Settings, environ: Mapping[str, str]) -> Change:
    """Put the settings into the file. The backup is of the file as it was before the first time."""
    before = _read(file.path)
    record = _Record(_record_path(tool, environ))
    known = record.read()
    if known is not None and known["file"] != str(file.path):
        known = None
    backup = Path(known["backup"]) if known and known["backup"] else None
    back = _former(file, known, backup, before or "")[0] if known else {}
    after = _edited(file, before or "", {**back, **settings})
    if known is None and before is not None:
        backup = file.path.with_name(file.path.name + BACKUP_SUFFIX)
        _replace(backup, before, mode=_mode(file.path))
    written = [[list(path), value] for path, value in settings.items()]
    record.write({"file": str(file.path), "backup": str(backup) if backup else None, "written": written})
    if after != before:
        _replace(file.path, after, mode=_mode(file.path))
    return Change(file.path, before or "", after, backup)


def undo(tool: str, title: str, file: ConfigFile, environ: Mapping[str, str]) -> Change:
    """Put back what was there in place of our settings; those that have been changed since stay."""
    record = _Record(_record_path(tool, environ))
    known = record.read()
    if known is None:
        raise Failure(f"nothing was written for {title}", f"`llama stack connect {tool} --write` writes it")
    file = ConfigFile(Path(known["file"]), file.format)
    backup = Path(known["backup"]) if known["backup"] else None
    before = _read(file.path) or ""
    back, kept = _former(file, known, backup, before)
    after = _edited(file, before, back)
    if backup is None and not document(file.format).parse(after):
        file.path.unlink(missing_ok=True)
        after = ""
    elif after != before:
        _replace(file.path, after, mode=_mode(file.path))
    if backup is not None:
        backup.unlink(missing_ok=True)
    record.path.unlink(missing_ok=True)
    return Change(file.path, before, after, kept=kept)


def _former(
    file: ConfigFile, known: Mapping[str, Any], backup: Path | None, text: str
) -> tuple[dict[KeyPath, Any], tuple[str, ...]]:
    """What was in place of the settings that we wrote, save for those that have been changed since, which are named."""
    former = _parsed(file, (_read(backup) if backup else None) or "")
    current = _parsed(file, text)
    written = {tuple(path): value for path, value in known["written"]}
    kept = [path for path, value in written.items() if get(current, path) not in (value, ABSENT)]
    return {path: get(former, path) for path in written if path not in kept}, tuple(".".join(path) for path in kept)


def written_to(tool: str, environ: Mapping[str, str]) -> Path | None:
    """The file that the settings of a tool were written to."""
    known = _Record(_record_path(tool, environ)).read()
    return Path(known["file"]) if known else None


class _Record:
    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any] | None:
        text = _read(self.path)
        try:
            known = json.loads(text) if text else None
        except ValueError:
            return None
        return known if isinstance(known, dict) and {"file", "backup", "written"} <= known.keys() else None

    def write(self, known: dict[str, Any]) -> None:
        _replace(self.path, json.dumps(known, indent=2) + "\n", mode=0o600)


def _record_path(tool: str, environ: Mapping[str, str]) -> Path:
    return llama_dir(environ) / "connect" / f"{tool}.json"


def _edited(file: ConfigFile, text: str, settings: Settings) -> str:
    try:
        return document(file.format).changed(text, settings)
    except NotEditable as error:
        raise Failure(
            f"{file.path} was left alone: {error}", "Add by hand what the command prints without --write"
        ) from None


def _parsed(file: ConfigFile, text: str) -> dict[str, Any]:
    try:
        return document(file.format).parse(text)
    except NotEditable as error:
        raise Failure(f"{file.path} was left alone: {error}", "Put it right, then undo again") from None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise Failure(f"{path} is not text in UTF-8", "Put it right first") from None


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600


def _replace(path: Path, text: str, mode: int) -> None:
    """Whole or not at all. A link stays a link: what it points to is written."""
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        part.chmod(mode)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
