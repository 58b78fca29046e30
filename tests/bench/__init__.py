"""What the server costs, measured beside references in one run: `make bench`, or `python -m tests.bench --help`."""
