"""Keeps one llama.cpp child alive for all workers of a server.

Whoever holds the lock file is the keeper: it starts the child, copies its log, and starts it again when it dies. The
others only read the status file. The lock goes with its holder's process, and the child too, so whoever notices next
becomes the keeper.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import socket
import stat
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import structlog

from llama_stack.providers._shared import llama_cpp_status as status
from llama_stack.providers._shared.llama_cpp_child import EXIT_HOPELESS, Launch
from llama_stack.providers._shared.llama_cpp_log import ChildLog
from llama_stack_api.errors import Overloaded

CHILD_MODULE = "llama_stack.providers._shared.llama_cpp_child"
SOCKET_PATH_BYTES_MAX = 103
"""macOS allows 104 bytes with the terminating zero, Linux 108."""
FAILURE_REMEMBERED_S = 10.0
STABLE_AFTER_S = 60.0
_BACKOFF_MAX_S = 10.0
_STOP_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.02
_LOG_READ_BYTES = 64 * 1024

_PASSED_ON = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
_PASSED_ON_PREFIXES = ("LC_", "HF_", "XDG_", "CUDA_", "HIP_", "ROCR_", "GGML_", "SSL_CERT_", "OMP_")
_PASSED_ON_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


class ModelProcess:
    """The child of one model. `directory` is private to the model and shared by the workers."""

    def __init__(self, launch: Launch, directory: Path, *, restarts_max: int, log_bytes_max: int) -> None:
        self._launch = launch
        self._directory = directory
        self._status = Path(launch.status)
        self._restarts_max = restarts_max
        self._log = ChildLog(directory / "child.log", log_bytes_max, launch.alias)
        self._logger = structlog.stdlib.get_logger("llama_stack.inference")
        self._task: asyncio.Task[None] | None = None
        self._up = False

    @property
    def status(self) -> status.Status:
        return status.read(self._status)

    @property
    def is_keeper(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Become the keeper unless there is one. Returns at once."""
        if self.is_keeper:
            return
        lock = _lock(self._directory / "keeper.lock")
        if lock is not None:
            status.write(self._status, "starting")
            self._task = asyncio.create_task(self._keep(lock), name=f"llama-cpp-{self._launch.alias}")

    async def ready(self, wait_s: float, setting: str) -> None:
        """Returns when the model answers. `Overloaded` if it does not within `wait_s`, which `setting` bounds."""
        give_up_at = time.monotonic() + wait_s
        while not self._up:
            now = self.status
            if now.state == "failed" and time.time() - now.at < FAILURE_REMEMBERED_S:
                raise Overloaded(
                    f"Model '{self._launch.alias}' cannot be started: {now.message}.",
                    retry_after_s=FAILURE_REMEMBERED_S,
                )
            self.start()
            if now.state == "ready" and await self._answers():
                self._up = True
            elif time.monotonic() >= give_up_at:
                raise Overloaded(
                    f"Model '{self._launch.alias}' is not ready: {now.describe()}. Waited {wait_s:.0f} s; "
                    f"raise {setting} of the provider to wait longer.",
                    retry_after_s=FAILURE_REMEMBERED_S,
                )
            else:
                await asyncio.sleep(_LOOK_EVERY_S)

    def doubt(self) -> None:
        """A request failed: look again before the next one."""
        self._up = False

    async def close(self) -> None:
        """The keeper ends the child; whoever else needs it starts another."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._up = False

    async def _answers(self) -> bool:
        """Whether somebody listens: the status file outlives a child that was killed."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(probe, self._launch.socket)
            except OSError:
                return False
        return True

    async def _keep(self, lock: int) -> None:
        failures = 0
        try:
            while True:
                started = time.monotonic()
                code = await self._run()
                self._up = False
                failures = 1 if time.monotonic() - started > STABLE_AFTER_S else failures + 1
                self._logger.warning("llama_cpp.child_ended", model=self._launch.alias, code=code, failures=failures)
                if code == EXIT_HOPELESS:
                    break
                if failures > self._restarts_max:
                    message = f"its process died {failures} times in a row; its log says why"
                    status.write(self._status, "failed", message)
                    break
                status.write(self._status, "stopped", "being restarted")
                await asyncio.sleep(min(0.1 * 2 ** (failures - 1), _BACKOFF_MAX_S))
        except OSError as error:
            self._logger.error("llama_cpp.not_started", model=self._launch.alias, error=str(error))
            status.write(self._status, "failed", "its process cannot be started; the server's log says why")
        except asyncio.CancelledError:
            status.write(self._status, "stopped")
            raise
        finally:
            os.close(lock)

    async def _run(self) -> int:
        """Run the child to its end; its exit code. Cancelling ends it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", CHILD_MODULE,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=child_environment(os.environ), start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(self._launch) + b"\n")
            while data := await process.stdout.read(_LOG_READ_BYTES):
                self._log.write(data)
            return await process.wait()
        finally:
            self._log.close()
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), _STOP_WITHIN_S)
            except TimeoutError:
                process.kill()
                await process.wait()


def child_environment(environ: os._Environ[str] | dict[str, str]) -> dict[str, str]:
    """What the child needs of the environment, so that no provider's key is in it."""
    return {
        name: value
        for name, value in environ.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES) or name.lower() in _PASSED_ON_PROXIES
    } | {"HF_HUB_DISABLE_TELEMETRY": "1"}


def socket_path(directory: Path) -> Path:
    """Where the child of `directory` listens: in it, or, where that path is too long for a socket, in a private
    directory under the system's temporary one. The same for every worker."""
    path = directory / "llm.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return path
    private = Path(tempfile.gettempdir()) / f"llama-stack-{os.getuid()}"
    private.mkdir(mode=0o700, exist_ok=True)
    found = private.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{private} must be a directory of this user alone (mode 0700)")
    return private / f"{hashlib.sha256(os.fsencode(directory)).hexdigest()[:24]}.sock"


def _lock(path: Path) -> int | None:
    """The descriptor that holds the lock, or None if another process, or another provider of this one, has it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    return file
