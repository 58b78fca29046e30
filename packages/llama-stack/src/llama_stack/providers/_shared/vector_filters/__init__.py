"""Filters in the languages of vector engines, each meaning exactly what `llama_stack_api.filters.matches` does."""
