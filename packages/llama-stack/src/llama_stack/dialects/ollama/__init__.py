"""Ollama's own API, which says more than its OpenAI-compatible one: `/api/chat`, `/api/embed`."""
