"""Answers of models that are given again: the same question, or one that surely asks the same."""
