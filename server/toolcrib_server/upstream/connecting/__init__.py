"""One live connection: which era it speaks, and how it is kept."""
