"""The process that owns one GGUF model: `python -m llama_stack.providers._shared.llama_cpp_child`.

llama.cpp's own HTTP server (C++) answers on a unix domain socket, so no Python runs for a token and no TCP port is
opened. This module starts it, reports to the status file, and ends with its parent: the first line of stdin is the
`Launch`, the end of stdin is the order to stop.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from llama_stack.providers._shared import llama_cpp_status as status
from llama_stack.providers._shared.gguf_fetch import Progress
from llama_stack.providers._shared.gguf_source import GGUFUnavailable, locate

EXIT_HOPELESS = 64
"""The exit code for what a restart cannot mend."""

_PR_SET_PDEATHSIG = 1
_VERBOSITY = {"error": 1, "warning": 2, "info": 3, "debug": 5}
_PROGRESS_EVERY_S = 1.0


class Launch(msgspec.Struct):
    """What the parent tells the child. Fields are those of `LlamaCppConfig` unless explained here."""

    reference: str
    alias: str
    """The model's name in replies."""
    socket: str
    status: str
    http_threads: int
    context_length: int
    parallel: int
    gpu_layers: int
    embedding: bool
    prompt_cache_mib: int
    log_level: str
    threads: int | None = None
    chat_template: str | None = None
    """The template itself."""
    temperature: float | None = None
    pooling: str | None = None
    hf_token: str | None = None


def main() -> int:
    end_with_parent()
    stdin = sys.stdin.buffer
    launch = msgspec.json.decode(stdin.readline(), type=Launch)
    threading.Thread(target=_end_with_stdin, args=(stdin, Path(launch.socket)), daemon=True).start()
    path = Path(launch.status)
    try:
        gguf = locate(launch.reference, token=launch.hf_token, progress=_reporting(path))
        status.write(path, "loading", pid=os.getpid())
        server = _serve(launch, gguf)
    except GGUFUnavailable as error:
        return _give_up(path, str(error))
    except ImportError as error:
        return _give_up(path, f"{error.name} is not installed; run: pip install 'llama-stack[embedded]'")
    except RuntimeError:
        # llama.cpp has written the reason to its log; its message may hold paths.
        return _give_up(path, "llama.cpp cannot load it; its log says why")
    status.write(path, "ready", pid=os.getpid())
    signal.pause()
    del server
    return 0


def end_with_parent() -> None:
    """Linux: the kernel kills this process when its parent dies, even in the middle of loading a model."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_stdin(stdin: BinaryIO, socket: Path) -> None:
    stdin.read()
    socket.unlink(missing_ok=True)
    os._exit(0)


def _give_up(path: Path, message: str) -> int:
    print(f"0.00 E child: {message}", flush=True)  # noqa: T201 - stdout is the log
    status.write(path, "failed", message, os.getpid())
    return EXIT_HOPELESS


def _reporting(path: Path) -> Progress:
    reported = 0.0

    def progress(here: int, whole: int) -> None:
        nonlocal reported
        if time.monotonic() - reported < _PROGRESS_EVERY_S and here != whole:
            return
        reported = time.monotonic()
        share = f"{100 * here // whole} % of {whole / 1e6:.0f} MB" if whole else f"{here / 1e6:.0f} MB"
        status.write(path, "downloading", share, os.getpid())
        print(f"0.00 I child: downloading: {share}", flush=True)  # noqa: T201

    return progress


def _serve(launch: Launch, gguf: Path) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.model_alias = {launch.alias}
    params.hostnames = [launch.socket]
    params.ui = False
    params.endpoint_slots = True
    params.n_threads_http = launch.http_threads
    params.n_ctx = launch.context_length * launch.parallel
    params.n_parallel = launch.parallel
    params.kv_unified = False
    params.n_gpu_layers = launch.gpu_layers
    params.cache_ram_mib = launch.prompt_cache_mib
    params.prefill_assistant = False
    params.verbosity = _VERBOSITY[launch.log_level]
    params.offline = True
    # llama.cpp's threads wait for each other many times a token: where one of them has to share its core, as with a
    # thread on every core beside a server, all of them become ten times slower.
    threads = launch.threads or max(1, (os.cpu_count() or 2) // 2)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    if launch.chat_template is not None:
        params.chat_template = launch.chat_template
    if launch.temperature is not None:
        params.sampling.temp = launch.temperature
    if launch.embedding:
        params.embedding = True
        params.n_ubatch = params.n_batch = max(params.n_batch, launch.context_length)
        if launch.pooling is not None:
            params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{launch.pooling.upper()}")
    Path(launch.socket).unlink(missing_ok=True)
    os.umask(0o177)  # the socket is for this user alone; not earlier, or the hub's cache got unusable directories
    return xllamacpp.Server(params)


if __name__ == "__main__":
    sys.exit(main())
