"""A chat with a model, the same at every door: choice, kept answers, examples, cascades, calls."""
