"""Where state lives: `kv` (small, short-lived values) and `sql` (whatever has an owner)."""
