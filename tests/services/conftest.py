"""The databases that this suite runs on."""

from tests.support.databases import postgres, postgres_database

__all__ = ["postgres", "postgres_database"]
