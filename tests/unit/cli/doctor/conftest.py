"""Real databases for findings about databases."""

from tests.support.databases import postgres, redis

__all__ = ["postgres", "redis"]
