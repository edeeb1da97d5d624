"""What is asked: its `steps`, and what it says is not wanted (`negation`)."""
