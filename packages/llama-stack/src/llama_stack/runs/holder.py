"""Who holds a lease: a name that tells others on the same machine whether the process is still there."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path


def new_holder() -> str:
    """`<where>/<pid>/<start>/<random>`: the machine and its process namespace, the process, and its start time, as
    process numbers come back."""
    pid = os.getpid()
    return f"{_where()}/{pid}/{_started(pid)}/{secrets.token_hex(4)}"


def is_dead(holder: str) -> bool:
    """Whether it was a process of this machine and namespace that is gone. False where that cannot be known."""
    where, _, rest = holder.partition("/")
    pid, _, rest = rest.partition("/")
    started = rest.partition("/")[0]
    if where != _where() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return _started(int(pid)) != started


def _where() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return socket.gethostname()
    return f"{boot}:{namespace}"


def _started(pid: int) -> str:
    """In ticks since boot; a zombie is as good as gone. Empty where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
