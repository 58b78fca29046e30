"""Retrieval: files become chunks in vector stores, and chunks are found again."""
