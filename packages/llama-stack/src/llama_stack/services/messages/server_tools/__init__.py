"""Anthropic's server tools, run by this server for models whose providers do not."""
