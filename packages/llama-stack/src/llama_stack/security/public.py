"""The routes that answer without authentication. All others are closed once a method is configured."""

from __future__ import annotations

PUBLIC_PATHS = frozenset(
    {
        "/",
        "/api/hello",
        "/v1/health",
        "/v1/version",
        "/v1alpha/admin/health",
        "/v1alpha/admin/version",
    }
)
