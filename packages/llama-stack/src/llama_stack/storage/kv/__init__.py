"""Key-value stores: `open_kv(config)` gives a backend, `backend.bind(tenant, namespace)` the port."""

from llama_stack.storage.kv.base import KVBackend
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack.storage.kv.open import KVBackendConfig, open_kv

__all__ = ["KVBackend", "KVBackendConfig", "MemoryKV", "open_kv"]
