"""Outbound HTTP: the one client that everything uses (aiohttp, pooled, bounded)."""
