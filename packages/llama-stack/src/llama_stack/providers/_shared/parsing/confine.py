"""What a process that parses strangers' files gives up, before it sees the first of them.

All of it holds on Linux; elsewhere the limits of time and of written bytes do.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

from llama_stack.providers._shared.parsing.wire import Limits

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_LIBRARIES_BYTES = 1024 * 1024 * 1024
"""Address space beyond the memory limit: libraries are mapped, not held."""


def confine(limits: Limits, *, online: bool) -> None:
    """Call it before any thread is started: whoever has one cannot leave the network."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, limits.written_bytes_max)
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if not online:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)  # refused by some hosts; our own parsers use no network anyway
    _lower(resource.RLIMIT_DATA, limits.memory_bytes_max)
    _lower(resource.RLIMIT_AS, limits.memory_bytes_max + _LIBRARIES_BYTES)


def _lower(limit: int, value: int) -> None:
    """For good. Whoever started the server may have set a lower one, which stays."""
    _, hard = resource.getrlimit(limit)
    least = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (least, least))


def allow_cpu(seconds: int) -> None:
    """From now on; the process is killed (SIGXCPU) when it has used them."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    wanted = int(used.ru_utime + used.ru_stime) + 1 + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def resident_bytes() -> int:
    """Memory that this process holds; where the system does not say, the most that it has held."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * os.sysconf("SC_PAGE_SIZE")
