"""What is written down of calls: audit records and spans. Shapes of arguments, never values."""
