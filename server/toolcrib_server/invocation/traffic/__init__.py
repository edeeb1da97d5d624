"""How requests get through to a server, many at once: in turn, on time, again where that is safe.

`dispatch` is the door; it waits in `lanes`, leaves alone whom the `breakers` say, and counts all
that in the `meter`.
"""
