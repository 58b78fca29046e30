"""The messages of a chat completion request as `systemInstruction` and `contents`.

    system, developer       systemInstruction, wherever they stand
    user                    a content of the role user
    assistant               a content of the role model: text, then the calls, with the signatures of its thoughts
    tool                    functionResponse parts, in one content and in the order of the calls, as Google wants it

A result's text goes into `response.output` as it is: as a JSON object it would pass through numbers that hold no large
integers. Images in results go into the functionResponse from Gemini 3 on, before that into a content behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from llama_stack.dialects.chat.arguments import tool_input
from llama_stack.dialects.chat.history import with_function_calls
from llama_stack.dialects.chat.turns import BEGINNING
from llama_stack.dialects.chat.values import Json, mapping, objects, text_or
from llama_stack.dialects.gemini.generations import signs_calls
from llama_stack.dialects.gemini.parts import parts_of, text_of
from llama_stack.dialects.gemini.signatures import sign, signature_of_call, signatures_in
from llama_stack_api.errors import InvalidRequest

RESULT: Final = "output"


def conversation(messages: Any, model: str) -> tuple[Json | None, list[Json]]:
    """`systemInstruction`, None if there is none, and `contents`."""
    system: list[Json] = []
    contents = _Contents(newest=signs_calls(model))
    for message in with_function_calls(messages):
        match message.get("role"):
            case "system" | "developer":
                system += [{"text": text}] if (text := text_of(message.get("content"))) else []
            case "assistant":
                contents.answer(message)
            case "tool":
                contents.result(message)
            case _:
                contents.add("user", parts_of(message.get("content")))
    said = contents.finished()
    if not said and system:
        return None, [{"role": "user", "parts": system}]
    return {"parts": system} if system else None, said


@dataclass(slots=True)
class _Answer:
    """Of the model: its parts, the signatures of its thoughts, and the calls by id and name."""

    texts: list[Json] = field(default_factory=list)
    calls: list[Json] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    names: list[tuple[str, str]] = field(default_factory=list)


class _Contents:
    """`newest`: what Gemini 3 brought is understood and asked for."""

    def __init__(self, *, newest: bool) -> None:
        self._newest = newest
        self._contents: list[Json] = []
        self._answer = _Answer()
        self._names: list[tuple[str, str]] = []
        self._results: list[tuple[int, Json]] = []
        self._shown: list[Json] = []

    def finished(self) -> list[Json]:
        """A call is refused that follows nothing."""
        self._settle()
        if self._contents and self._contents[0]["role"] == "model":
            self._contents.insert(0, {"role": "user", "parts": [{"text": BEGINNING}]})
        return self._contents

    def add(self, role: str, parts: list[Json]) -> None:
        """Contents of one role in a row become one, but for results, which stand alone."""
        self._settle()
        last: Json = self._contents[-1] if self._contents else {}
        if not parts:
            return
        if last.get("role") == role and "functionResponse" not in last["parts"][0]:
            last["parts"] += parts
        else:
            self._contents.append({"role": role, "parts": parts})

    def answer(self, message: Json) -> None:
        """Messages of the assistant in a row are one answer: clients put down its words and its calls by themselves."""
        self._settle_results()
        answer = self._answer
        answer.texts += parts_of(message.get("content")) + parts_of(message.get("refusal"))
        answer.signatures += signatures_in(message.get("thinking_blocks"))
        said = objects(message.get("tool_calls"))
        answer.calls += [self._call(call) for call in said]
        answer.names += [(text_or(call.get("id")), _name(call)) for call in said]

    def result(self, message: Json) -> None:
        self._settle_answer()
        known = message.get("tool_call_id")
        at = next((at for at, (identifier, _) in enumerate(self._names) if identifier == known), None)
        if at is None:
            raise InvalidRequest(f"'tool_call_id' {known!r} answers no call of the message before.", param="messages")
        parts = parts_of(message.get("content"))
        text = "".join(part["text"] for part in parts if "text" in part)
        others = [part for part in parts if "text" not in part]
        inside = [part for part in others if self._newest and "inlineData" in part]
        response: Json = {"name": self._names[at][1], "response": {RESULT: text}}
        if self._newest:
            response["id"] = known
        if inside:
            response["parts"] = inside
        self._results.append((at, {"functionResponse": response}))
        self._shown += [part for part in others if part not in inside]

    def _settle(self) -> None:
        self._settle_answer()
        self._settle_results()

    def _settle_answer(self) -> None:
        answer, self._answer = self._answer, _Answer()
        sign(answer.texts, answer.calls, answer.signatures, needed=self._newest)
        if answer.texts or answer.calls:
            self._contents.append({"role": "model", "parts": [*answer.texts, *answer.calls]})
            self._names = answer.names

    def _settle_results(self) -> None:
        if not self._results:
            return
        results = [result for _, result in sorted(self._results, key=lambda result: result[0])]
        self._contents.append({"role": "user", "parts": results})
        if self._shown:
            self._contents.append({"role": "user", "parts": self._shown})
        self._results, self._shown = [], []

    def _call(self, call: Json) -> Json:
        made: Json = {"name": _name(call), "args": tool_input(mapping(call.get("function")).get("arguments"))}
        if self._newest and (identifier := text_or(call.get("id"))):
            made["id"] = identifier
        signature = signature_of_call(call)
        return {"functionCall": made, "thoughtSignature": signature} if signature else {"functionCall": made}


def _name(call: Json) -> str:
    return text_or(mapping(call.get("function")).get("name"))
