"""What was learned from use: whose word counts (`testimony`), a `memory`, an `adapter`.

Joined in `lessons`, as a search applies them.
"""
