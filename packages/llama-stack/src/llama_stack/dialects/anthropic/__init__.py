"""Anthropic's Messages API and chat completions, translated into each other. Pure: JSON in, JSON out."""
