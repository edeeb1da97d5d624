"""How servers are written down, and what in it is secret: files, names, references, secrets."""
