"""The run config: its schema (`RunConfig`), its `${env…}` grammar and its loading (`load_config`)."""

from llama_stack.config.load import LoadedConfig, load_config
from llama_stack.config.model import ProviderEntry, RunConfig
from llama_stack.config.problem import ConfigError, Problem

__all__ = ["ConfigError", "LoadedConfig", "Problem", "ProviderEntry", "RunConfig", "load_config"]
