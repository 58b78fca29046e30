"""What safety providers have in common."""
