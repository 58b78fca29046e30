"""The databases that this suite runs on."""

from tests.support.databases import postgres, postgres_database, redis

__all__ = ["postgres", "postgres_database", "redis"]
