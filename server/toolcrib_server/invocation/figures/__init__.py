"""What calls of each offer of a model `measured`; `rolling` keeps it, `feed` reads the others'."""
