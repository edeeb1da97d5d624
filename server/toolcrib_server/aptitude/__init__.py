"""A short test for a model: questions with answers that can be checked, by area."""
