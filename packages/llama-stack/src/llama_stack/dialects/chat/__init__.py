"""What the translators between chat completions and other dialects share."""
