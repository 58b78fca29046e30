"""Python, the packages of the server, file descriptors, and the clock."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from llama_stack.cli.doctor.finding import Finding, ok, problem, warning
from llama_stack.cli.requirements import install_command, required_by, unfit_packages

PYTHON_MIN = (3, 11)
DESCRIPTORS_APART = 256
"""Files, databases and connections to providers, beside the connections of clients."""
SKEW_MAX_S = 60.0
SKEW_FATAL_S = 300.0
"""From then on clouds refuse signed requests."""


def check_python() -> Iterator[Finding]:
    said = f"Python {platform.python_version()} ({sys.executable})"
    if sys.version_info < PYTHON_MIN:
        yield problem("python", said, f"Python {'.'.join(map(str, PYTHON_MIN))} or newer is needed")
    else:
        yield ok("python", said)


def check_packages(package: str = "llama-stack") -> Iterator[Finding]:
    """Those that the metadata of a package asks for."""
    wanted = [text for text in required_by(package) if unfit_packages([text])]
    said = f"{package} {importlib.metadata.version(package)}"
    if wanted:
        yield problem("packages", f"{said}: {'; '.join(unfit_packages(wanted))}", install_command(wanted))
    else:
        yield ok("packages", f"{said} and what it needs")


def check_descriptors(requests_max: int, soft_limit: int | None = None) -> Iterator[Finding]:
    """A request holds one connection of its client, and most hold one to a provider."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if soft_limit is None else soft_limit
    needed = 2 * requests_max + DESCRIPTORS_APART
    if limit != resource.RLIM_INFINITY and limit < needed:
        yield warning(
            "files",
            f"{limit} open files are allowed; {requests_max} requests at a time may need {needed}",
            f"ulimit -n {needed}, or lower server.limits.concurrent_requests_max",
        )
    else:
        yield ok("files", "enough open files are allowed")


def check_clock(skews: Iterable[float], now: float | None = None) -> Iterator[Finding]:
    """`skews` are the seconds by which this clock is ahead of those of servers that were asked."""
    now = time.time() if now is None else now
    built = Path(__file__).stat().st_mtime
    by_others = sorted(skews, key=abs)
    # The nearest: one server with a wrong clock of its own must not accuse this one.
    skew = by_others[0] if by_others else 0.0
    said = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    remedy = "Set the clock, best by NTP (timedatectl set-ntp true)"
    if now < built - SKEW_FATAL_S:
        yield problem("clock", f"it is {said} by this clock, before this package was installed", remedy)
    elif abs(skew) > SKEW_MAX_S:
        make = problem if abs(skew) > SKEW_FATAL_S else warning
        direction = "ahead of" if skew > 0 else "behind"
        yield make("clock", f"this clock is {abs(skew):.0f} s {direction} those of the backends", remedy)
    else:
        yield ok("clock", said)
