"""Stores under the names of `llama-stack-api` 0.7. A new provider uses `llama_stack_api.ports.kv`."""
