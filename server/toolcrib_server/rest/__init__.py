"""The HTTP face: REST under ``/api/v1``. Translates; every decision is made on a floor below.

Imports nothing, so that a command that only masks a secret does not load the whole face.
"""
