"""The command line: `llama stack …`."""
