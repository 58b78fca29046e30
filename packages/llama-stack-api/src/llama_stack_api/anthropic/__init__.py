"""Anthropic's Messages API: wire types, one module per part of it."""
