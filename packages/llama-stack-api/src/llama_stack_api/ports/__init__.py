"""See the modules; nothing is imported here so that each loads on first use."""
