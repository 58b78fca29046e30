"""A provider of the weather API that asks a model for words."""

from typing import Any

from llama_stack_provider_kaze.config import KazeConfig


async def get_adapter_impl(config: KazeConfig, deps: dict[Any, Any]) -> Any:
    from llama_stack_provider_kaze.kaze import Kaze

    return Kaze(config, deps)
