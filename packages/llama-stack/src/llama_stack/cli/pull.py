"""`models pull`: a model that a provider of a run config fetches, such as Ollama, with its progress."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from llama_stack.cli.failure import USAGE, Failure

if TYPE_CHECKING:
    from llama_stack.config import LoadedConfig
    from llama_stack_api.ports.inference import PullProgress

BAR_CHARS = 24
_UNITS = ("B", "kB", "MB", "GB", "TB")


def models_pull(
    model: Annotated[str, typer.Argument(metavar="PROVIDER/MODEL", help="For example ollama/llama3.2:3b.")],
    config: Annotated[
        str | None,
        typer.Option("--config", metavar="DISTRO|FILE", help="Whose providers; default: as `llama stack run` has it."),
    ] = None,
) -> None:
    """Have a provider fetch a model. No server of ours need run; one that does finds the model when it is asked for."""
    import asyncio

    from llama_stack.cli.runner.start import Wishes, load

    provider_id, slash, name = model.partition("/")
    if not slash or not name:
        raise Failure(f"{model!r} names no provider", "Write for example ollama/llama3.2:3b", exit_code=USAGE)
    loaded, _ = load(Wishes(config), os.environ)
    asyncio.run(_pull(loaded, provider_id, name))


async def _pull(loaded: LoadedConfig, provider_id: str, name: str) -> None:
    from llama_stack.cli.one_provider import created
    from llama_stack.routing.catalog import Catalog
    from llama_stack.routing.opening import checked_config
    from llama_stack_api.api import Api
    from llama_stack_api.ports.inference import PullsModels
    from llama_stack_api.principal import SYSTEM_CALL

    entries = {entry.provider_id: entry for api, entry in loaded.config.provider_entries() if api == Api.inference}
    entry = entries.get(provider_id)
    if entry is None:
        raise Failure(
            f"the run config has no inference provider '{provider_id}'; it has: {', '.join(entries) or 'none'}",
            "Say with --config whose providers are meant; in `starter`, OLLAMA_URL turns Ollama on",
        )
    descriptor = Catalog.of(loaded.config).find(Api.inference, entry.provider_type, entry.module)
    async with created(entry, descriptor, checked_config(descriptor, entry.config)) as provider:
        if not isinstance(provider, PullsModels):
            raise Failure(f"provider '{provider_id}' ({entry.provider_type}) fetches no models")
        lines = ProgressLines(sys.stderr)
        try:
            async for progress in provider.pull_model(name, SYSTEM_CALL):
                lines.show(progress)
        finally:
            lines.end()
    print(f"{provider_id}/{name} is there.")


class ProgressLines:
    """Progress as one line that is written over on a terminal, and as a line now and then elsewhere."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._on_terminal = out.isatty()
        self._said = ("", -1)

    def show(self, progress: PullProgress) -> None:
        percent = _percent(progress)
        if self._on_terminal:
            self._out.write(f"\r{_line(progress, percent)}\x1b[K")
            self._out.flush()
            return
        news = (progress.status, -1 if percent is None else percent - percent % 10)
        if news != self._said:
            print(progress.status if percent is None else f"{progress.status}: {percent} %", file=self._out)
        self._said = news

    def end(self) -> None:
        if self._on_terminal:
            self._out.write("\r\x1b[K")
            self._out.flush()


def _percent(progress: PullProgress) -> int | None:
    if not progress.total or progress.completed is None:
        return None
    return min(100, progress.completed * 100 // progress.total)


def _line(progress: PullProgress, percent: int | None) -> str:
    if percent is None or progress.completed is None or progress.total is None:
        return progress.status
    done = BAR_CHARS * percent // 100
    bar = "█" * done + "░" * (BAR_CHARS - done)
    return f"{progress.status}  {bar} {percent:3} %  {_bytes(progress.completed)} of {_bytes(progress.total)}"


def _bytes(count: int) -> str:
    amount, unit = float(count), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}" if unit < 2 else f"{amount:.1f} {_UNITS[unit]}"
