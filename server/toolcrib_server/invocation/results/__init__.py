"""What becomes of a result before it is handed on; `finishing` is the door.

Kept for the next who asks (`cache`), held against its schema, cut to size, with the rest on the
`shelf`.
"""
