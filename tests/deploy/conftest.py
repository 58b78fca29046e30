"""Real databases for what the manifests run."""

from tests.support.databases import postgres, redis

__all__ = ["postgres", "redis"]
