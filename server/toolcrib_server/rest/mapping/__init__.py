"""Domain objects to wire models and back. Nothing secret passes: transports go out masked.

Imports nothing: each takes what it needs from its noun.
"""
