"""Every connection to every server: opened when wanted, shared, repaired and closed."""
