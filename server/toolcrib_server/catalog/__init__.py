"""Reads files that describe tools and models into entries. Knows no store and no network."""
