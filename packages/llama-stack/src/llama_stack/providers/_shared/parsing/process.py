"""The parent's end of one child that reads files."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import signal
import sys
from collections.abc import Mapping

import msgspec

from llama_stack.providers._shared.parsing import wire

CHILD_MODULE = "llama_stack.providers._shared.parsing.child"
START_S = 60.0
_READ_BYTES = 256 * 1024
_PASSED_ON = ("PATH", "LANG", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
_PASSED_ON_ONLINE = (
    *("home", "hf_home", "hf_hub_cache", "hf_endpoint", "xdg_cache_home", "docling_artifacts_path"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy", "ssl_cert_file", "ssl_cert_dir"),
)


class ChildDied(Exception):
    """`code` as `subprocess` has it: negative for a signal."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


class ParserProcess:
    """Ask one thing at a time. Whoever stops waiting for an answer must `end` it: the next one would get that."""

    def __init__(self, process: asyncio.subprocess.Process, text_bytes_max: int) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._text_bytes_max = text_bytes_max
        self.files = 0

    @classmethod
    async def start(cls, start: wire.Start) -> ParserProcess:
        """A process that is ready. `ChildDied` or `TimeoutError` where it does not come to that."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", CHILD_MODULE,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=child_environment(os.environ, online=start.online), cwd="/", start_new_session=True,
        )  # fmt: skip
        child = cls(process, 4 * start.limits.text_chars_max)
        try:
            async with asyncio.timeout(START_S):
                await child._exchange(wire.framed(start))
        except BaseException:
            await child.end()
            raise
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def ask(self, job: wire.Job) -> tuple[wire.Answer, str]:
        """The answer and the text. Raises `ChildDied`."""
        self.files += 1
        return await self._exchange(wire.framed(job))

    async def _exchange(self, frame: bytes) -> tuple[wire.Answer, str]:
        try:
            self._stdin.write(frame)
            await self._stdin.drain()
            lengths = await self._stdout.readexactly(wire.ANSWER.size)
            head_bytes, text_bytes = wire.ANSWER.unpack(lengths)
            if head_bytes > wire.ANSWER_BYTES_MAX or text_bytes > self._text_bytes_max:
                self.kill()  # it is not ours any more
            head = await self._stdout.readexactly(head_bytes)
            answer = msgspec.json.decode(head, type=wire.Answer)
            return answer, await self._text(text_bytes)
        except (asyncio.IncompleteReadError, ConnectionError, msgspec.DecodeError, UnicodeDecodeError):
            self.kill()
            raise ChildDied(await self._process.wait()) from None

    async def _text(self, length: int) -> str:
        """Decoded as it comes, so that no long text holds up the event loop."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        parts = []
        while length:
            data = await self._stdout.read(min(length, _READ_BYTES))
            if not data:
                raise asyncio.IncompleteReadError(b"", length)
            length -= len(data)
            parts.append(decoder.decode(data))
        return "".join(parts)

    def kill(self) -> None:
        """It, and whatever it has started."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Killed, and gone from the table of processes."""
        self.kill()
        self._stdin.close()
        while await self._stdout.read(_READ_BYTES):  # a paused pipe would keep the transport open
            pass
        await self._process.wait()


def child_environment(environ: Mapping[str, str], *, online: bool = False) -> dict[str, str]:
    """What the child needs of the environment: no key and no password is in it."""
    passed = {name: environ[name] for name in _PASSED_ON if name in environ}
    if online:
        passed |= {name: value for name, value in environ.items() if name.lower() in _PASSED_ON_ONLINE}
    return passed | {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
