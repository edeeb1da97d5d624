"""One request on its way to a server: an `errand`, and what is known about it beforehand.

The `book` says what is called, the `deadline` until when, the `caller` by whom it is sent.
"""
