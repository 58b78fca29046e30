"""The file of a batch: is each of its lines a request that can be carried out? Plain code over a local file, for a
thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from llama_stack.config.batches import BatchesConfig
from llama_stack.storage.sql.batch_records import NewLine

PROBLEMS_MAX: Final = 100
"""Problems that are told; whoever has more has seen enough."""
_ENVELOPE_BYTES: Final = 64 * 1024
"""What a line may have beside its request."""
_BOM: Final = b"\xef\xbb\xbf"
_MODEL_OPTIONAL: Final = frozenset({"/v1/moderations"})


class Problem(msgspec.Struct, frozen=True):
    """As a batch's `errors.data` has it. `line` counts from 1."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class _Line(msgspec.Struct):
    custom_id: Any = None
    method: Any = None
    url: Any = None
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Body(msgspec.Struct):
    model: Any = None


class Request(NamedTuple):
    """A line that is sound: the body of its request as the client wrote it."""

    custom_id: str
    model: str | None
    body: bytes


@dataclass(slots=True)
class Checked:
    """`model` is what all requests name. Without problems, all of `total` are sound."""

    total: int = 0
    model: str | None = None
    problems: list[Problem] = field(default_factory=list)


_decode = msgspec.json.Decoder(_Line).decode
_decode_body = msgspec.json.Decoder(_Body).decode


class _Unsound(Exception):
    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(code, message, param)


class Checker:
    """Of the requests to one endpoint."""

    def __init__(self, endpoint: str, limits: BatchesConfig) -> None:
        self._endpoint = endpoint
        self._limits = limits

    def check(self, path: Path) -> Checked:
        """All that is wrong, at most `PROBLEMS_MAX` problems."""
        checked = Checked()
        size = path.stat().st_size
        if size > self._limits.bytes_max:
            allowed = f"server.batches.bytes_max allows {self._limits.bytes_max}"
            checked.problems.append(Problem("file_too_large", f"The input file has {size} bytes; {allowed}."))
            return checked
        known: set[str] = set()
        for number, raw in _lines(path, self._limits.line_bytes_max):
            checked.total += 1
            if checked.total > self._limits.lines_max:
                allowed = f"server.batches.lines_max allows {self._limits.lines_max}"
                checked.problems.append(Problem("too_many_tasks", f"The input file has more requests than {allowed}."))
                return checked
            try:
                self._add(raw, known, checked)
            except _Unsound as unsound:
                checked.problems.append(msgspec.structs.replace(unsound.problem, line=number))
                if len(checked.problems) >= PROBLEMS_MAX:
                    return checked
        if not checked.total:
            checked.problems.append(Problem("empty_file", "The input file has no requests."))
        return checked

    def requests(self, path: Path) -> Iterator[NewLine]:
        """Of a file in which `check` finds no problem."""
        for line, (_, raw) in enumerate(_lines(path, self._limits.line_bytes_max)):
            request = self._request(raw)
            yield NewLine(line, request.custom_id, request.body)

    def _add(self, raw: bytes | None, known: set[str], checked: Checked) -> None:
        request = self._request(raw)
        if request.custom_id in known:
            told = f"The custom_id {_shown(request.custom_id)} is that of another line too."
            raise _Unsound("duplicate_custom_id", told, "custom_id")
        known.add(request.custom_id)
        if checked.model is None:
            checked.model = request.model
        elif request.model not in (None, checked.model):
            told = (
                f"The model is {_shown(request.model)}, and {_shown(checked.model)} in lines before; a batch has one."
            )
            raise _Unsound("mismatched_model", told, "body.model")

    def _request(self, raw: bytes | None) -> Request:
        if raw is None:
            allowed = f"server.batches.line_bytes_max allows {self._limits.line_bytes_max} of a request"
            raise _Unsound("request_too_large", f"The line has too many bytes; {allowed}.")
        try:
            line = _decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _Unsound("invalid_json_line", "The line is not a JSON object.") from None
        custom_id = _required(line.custom_id, "custom_id")
        if "\0" in custom_id:
            raise _Unsound("invalid_value", "The custom_id holds a NUL character.", "custom_id")
        if _required(line.method, "method") != "POST":
            raise _Unsound("invalid_method", "The method must be POST.", "method")
        if _required(line.url, "url") != self._endpoint:
            told = f"The url is {_shown(line.url)}, and the endpoint of the batch {self._endpoint}."
            raise _Unsound("mismatched_endpoint", told, "url")
        return Request(custom_id, self._model(bytes(line.body)), bytes(line.body))

    def _model(self, body: bytes) -> str | None:
        if not body.startswith(b"{"):
            if body == b"null":
                raise _missing("body")
            raise _Unsound("invalid_type", "The body must be a JSON object.", "body")
        try:
            model = _decode_body(body).model
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _Unsound("invalid_json_line", "The body is no JSON that can be read.", "body") from None
        if model is None and self._endpoint in _MODEL_OPTIONAL:
            return None
        return _required(model, "body.model")


def _required(value: Any, param: str) -> str:
    if value is None or value == "":
        raise _missing(param)
    if not isinstance(value, str):
        raise _Unsound("invalid_type", f"{param} must be a string.", param)
    return value


def _missing(param: str) -> _Unsound:
    return _Unsound("missing_required_parameter", f"{param} is missing.", param)


def _shown(text: Any) -> str:
    return repr(str(text)[:100])


def _lines(path: Path, request_bytes_max: int) -> Iterator[tuple[int, bytes | None]]:
    """Lines that are not blank with their numbers, from 1; None for one that is too long."""
    line_bytes_max = request_bytes_max + _ENVELOPE_BYTES
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(line_bytes_max + 1):
            number += 1
            if number == 1:
                raw = raw.removeprefix(_BOM)
            if len(raw) > line_bytes_max:
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(line_bytes_max)
                yield number, None
            elif stripped := raw.strip():
                yield number, stripped
