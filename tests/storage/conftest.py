"""The databases that this suite runs on."""

from tests.support.databases import database, postgres, postgres_database, redis

__all__ = ["database", "postgres", "postgres_database", "redis"]
