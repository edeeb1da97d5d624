"""Whether a query is in a script that the encoder knows nothing of, and what is said of it then.

An encoder is asked once for each script, with a few words, and its answer remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolcrib_registry.errors import EncoderError

from .reading import Read

if TYPE_CHECKING:
    # Slow to import, and not needed before the first search.
    from toolcrib_embeddings import Encoder
    from toolcrib_embeddings.encoding.scripts import Script


class Tongues:
    """Remembers which scripts an encoder knows. Safe to share between threads."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], bool] = {}

    def notice(self, query: str | Sequence[str], encoder: Encoder, read: Read | None) -> str | None:
        """Say that a query's meaning could not be read, and what to do; None where it could."""
        from toolcrib_embeddings import NoEncoder  # noqa: PLC0415  # slow
        from toolcrib_embeddings.encoding.scripts import script_of  # noqa: PLC0415  # slow

        text = query if isinstance(query, str) else " ".join(query)
        script = None if text.isascii() else script_of(text)
        has_english = read is not None and read.english is not None
        # Without an encoder it is said already that search goes by words.
        if script is None or has_english or isinstance(encoder, NoEncoder):
            return None
        if self._knows(encoder, script):
            return None
        return (
            f"The query is in {script} script, which the encoder does not know: what was found is "
            "by matching characters, and may well be wrong. Ask in English, or have a model "
            "translate queries (TOOLCRIB_WRITER_MODEL)."
        )

    def _knows(self, encoder: Encoder, script: Script) -> bool:
        from toolcrib_embeddings.encoding.scripts import knows  # noqa: PLC0415  # slow

        key = (encoder.id, script.value)
        if key not in self._known:
            try:
                self._known[key] = knows(encoder, script)
            except EncoderError:
                return True
        return self._known[key]
