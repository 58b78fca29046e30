"""`connect`: coding agents and other tools pointed at a running server."""
