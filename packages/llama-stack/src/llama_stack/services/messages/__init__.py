"""Anthropic's Messages API over whatever models there are."""
