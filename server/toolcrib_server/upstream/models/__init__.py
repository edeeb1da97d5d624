"""Model endpoints: one small client of the OpenAI-compatible API, and servers started on demand."""
