"""How our names are spelt where JSON has them: camelCase, wherever no shape of the wire does it."""

from __future__ import annotations


def camel(name: str) -> str:
    """Spell a name as JSON has it: ``expires_at`` is ``expiresAt``."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
