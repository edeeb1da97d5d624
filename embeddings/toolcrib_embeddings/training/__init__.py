"""Training a tool-tuned encoder from the bundled one: ``python -m toolcrib_embeddings.training``.

Imports torch; nothing that serves imports this. See docs/training.md.
"""
