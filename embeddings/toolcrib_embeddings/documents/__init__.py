"""What an entry says of itself: its text, its words, its questions, and what it needs.

`corpus` makes documents of entries, `representation` makes one vector of a document's parts;
`needs`, `needs_graph` and `needs_links` read off schemas which tool gives what another asks for.
"""
