"""Whether a server is still what the registry says: its `signs`, and the `lookout` for them."""
