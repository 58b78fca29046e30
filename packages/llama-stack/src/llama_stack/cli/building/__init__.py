"""`build` and its siblings: distributions of one's own, from what they are made of to an environment that runs them."""
