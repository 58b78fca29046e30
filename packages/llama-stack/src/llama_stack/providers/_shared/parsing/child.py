"""The process that reads files: `python -m llama_stack.providers._shared.parsing.child`.

It reads jobs from stdin and answers on stdout until stdin ends, in the middle of a file too. Libraries are imported
when a file needs them, and stay for the next.
"""

from __future__ import annotations

import gc
import logging
import os
import queue
import threading
import warnings
from typing import BinaryIO

import msgspec

from llama_stack.providers._shared.parsing import wire
from llama_stack.providers._shared.parsing.confine import allow_cpu, confine, resident_bytes
from llama_stack.providers._shared.parsing.draft import Refused, Unsupported
from llama_stack.providers._shared.parsing.engines import engine_of
from llama_stack.providers._shared.parsing.source import Source

TIDY_FROM_BYTES = 100 * 1024 * 1024


def main() -> None:
    requests, replies = _own_pipes()
    start = msgspec.json.decode(_frame(requests), type=wire.Start)
    confine(start.limits, online=start.online)
    logging.disable()
    warnings.simplefilter("ignore")
    jobs: queue.SimpleQueue[wire.Job] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, jobs), daemon=True).start()
    _reply(replies, wire.Answer("parsed"), "")  # ready: time is counted from here
    while True:
        allow_cpu(start.limits.cpu_seconds_max)
        answer, text = _answered(start, jobs.get())
        answer.resident_bytes = resident_bytes()
        _reply(replies, answer, text)
        del text
        if answer.resident_bytes > TIDY_FROM_BYTES:
            gc.collect()


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Stdin and stdout for the protocol alone: whatever a library prints goes to stderr."""
    requests, replies = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.dup2(2, 1)
    os.close(nowhere)
    return os.fdopen(requests, "rb"), os.fdopen(replies, "wb")


def _frame(requests: BinaryIO) -> bytes:
    length = requests.read(wire.FRAME.size)
    if len(length) < wire.FRAME.size:
        os._exit(0)
    return requests.read(wire.FRAME.unpack(length)[0])


def _receive(requests: BinaryIO, jobs: queue.SimpleQueue[wire.Job]) -> None:
    """Ends the process when the parent has gone, or wants it to stop."""
    while True:
        jobs.put(msgspec.json.decode(_frame(requests), type=wire.Job))


def _answered(start: wire.Start, job: wire.Job) -> tuple[wire.Answer, str]:
    try:
        with Source(job, start.limits) as source:
            return engine_of(start.engine)(source)
    except Unsupported as error:
        return wire.Answer("unsupported", error.message), ""
    except Refused as error:
        return wire.Answer("invalid", error.message), ""
    except MemoryError:
        os._exit(wire.EXIT_OUT_OF_MEMORY)  # what is left of the heap is of no use for the next file
    except Exception as error:  # noqa: BLE001 - a file's boundary: whatever a library raises on it, the next is read
        return wire.Answer("invalid", f"It cannot be read: its parser failed ({type(error).__name__})."), ""


def _reply(replies: BinaryIO, answer: wire.Answer, text: str) -> None:
    head, body = msgspec.json.encode(answer), text.encode()
    replies.write(wire.ANSWER.pack(len(head), len(body)))
    replies.write(head)
    replies.write(body)
    replies.flush()


if __name__ == "__main__":
    main()
