"""What carries messages: stdio, Streamable HTTP, and HTTP+SSE before it."""
