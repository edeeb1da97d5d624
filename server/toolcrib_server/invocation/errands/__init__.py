"""One request on its way to a server: who asks what (`errand`), made at the `desk`.

The `book` says what is called, the `deadline` until when, the `caller` by whom it is sent.
"""
