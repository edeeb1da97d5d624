"""Who may call what, how often, and how it is treated: the registry, keys and settings say so.

Plain rules, which know nothing of calls.
"""
