"""Knowledge in SQL: vector stores, the files attached to them, their chunks, and what changed in which order."""
