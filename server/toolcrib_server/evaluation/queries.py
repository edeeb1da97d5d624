"""Files of queries: an id and a text a line. Knows nothing of what is done with them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.catalog.problem import Problem, parse_rows

from .rows import iter_lines, wrong

_SHOWN: Final = 5


def read_queries(file: Path) -> dict[str, str]:
    """Read the text of each query by its id, in the file's order.

    Raises:
        InvalidInput: It cannot be read, holds none, a line is no query, or two have one id.
    """
    texts: dict[str, str] = {}
    lines: dict[str, int] = {}
    repeated: list[tuple[int, str]] = []
    for number, row in parse_rows(iter_lines(file)):
        if isinstance(row, Problem):
            raise InvalidInput(f"{file}, {row}.")
        given, text = row.get("id"), row.get("text")
        if isinstance(given, bool) or not isinstance(given, str | int) or not str(given).strip():
            raise wrong(file, number, "no 'id', which is text or a whole number")
        if not isinstance(text, str) or not text.strip():
            raise wrong(file, number, "no 'text', or an empty one")
        id_ = str(given)
        if id_ in texts:
            repeated.append((number, f"the id {id_!r} is that of line {lines[id_]} too"))
        else:
            texts[id_], lines[id_] = text, number
    if repeated:
        raise _repeat(file, repeated)
    if not texts:
        raise InvalidInput(f"{file} holds no query. A line is an object with 'id' and 'text'.")
    return texts


def _repeat(file: Path, repeated: list[tuple[int, str]]) -> InvalidInput:
    """Name the lines that repeat an id; of many the first ones."""
    (number, reason), *others = repeated
    said = [reason, *(f"line {at}: {why}" for at, why in others[: _SHOWN - 1])]
    more = len(repeated) - len(said)
    if more > 0:
        said.append(f"and {more} more")
    return wrong(file, number, "; ".join(said))
