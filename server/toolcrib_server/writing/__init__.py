"""What a registered model writes for search: example questions of tools, and readings of queries.

Everything it writes is a stranger's text: checked, cut, and never an owner's word. Off unless
`TOOLCRIB_WRITER_MODEL` names a model; search works without it.
"""
