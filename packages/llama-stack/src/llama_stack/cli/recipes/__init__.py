"""What distributions are made of, and the run configs that are rendered from it."""
