"""One file per schema version. Each is frozen once released."""
