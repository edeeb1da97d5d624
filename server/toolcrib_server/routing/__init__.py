"""Routing in service: outcomes come in, a checked policy is learned beside, selection asks it.

Joins store, encoder and `selection.routing`'s numbers; knows no face and no wire format.
"""
