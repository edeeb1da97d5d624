"""The command line: arguments to calls, and answers to text. No logic of its own."""

from .app import main

__all__ = ["main"]
