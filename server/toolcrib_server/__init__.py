"""What happens: upstream links, selection, sync, invocation, and the faces that show them."""
