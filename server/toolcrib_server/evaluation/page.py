"""A page of HTML that needs nothing else: styles and pictures are in it. Knows no evaluation."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from typing import Final

from .paper import Plot
from .tables import MACRO, Table

_STYLE: Final = "report.css"
_TEXT_COLUMNS: Final = frozenset(
    {"set", "configuration", "policy", "measure", "verdict", "data", "part"}
)


def render_page(title: str, parts: Iterable[str]) -> str:
    """Put parts together under a title."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_read_style()}</style>\n</head>\n"
        "<body>\n<main>\n" + "\n".join(parts) + "\n</main>\n</body>\n</html>\n"
    )


def render_facts(facts: Mapping[str, str]) -> str:
    """List facts by name."""
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    return f"<dl>{items}</dl>"


def render_cards(cards: Iterable[tuple[str, str]]) -> str:
    """Show a few figures large, each with what it is."""
    inner = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for value, label in cards
    )
    return f'<div class="cards">{inner}</div>'


def render_table(table: Table) -> str:
    """Render rows; what repeats in the first column is said once."""
    classes = ["" if name in _TEXT_COLUMNS else "figure" for name in table.columns]
    head = "".join(
        f'<th class="{kind}">{escape(name)}</th>'
        for name, kind in zip(table.columns, classes, strict=True)
    )
    rows: list[str] = []
    last = ""
    for row in table.rows:
        is_first = row[0] != last
        last = row[0]
        cells = [_cell(value, kind) for value, kind in zip(row, classes, strict=True)]
        if not is_first:
            cells[0] = f'<td class="same"><span>{escape(row[0])}</span></td>'
        kind = "average" if row[0] == MACRO else "each"
        rows.append(f'<tr class="{kind}">{"".join(cells)}</tr>')
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def render_notes(table: Table) -> str:
    """Render what has to be known to read a table."""
    return "".join(f'<p class="soft">{escape(note)}</p>' for note in table.notes)


def render_figure(light: Plot, dark: Plot) -> str:
    """Show a picture, as the reader's paper is."""
    caption = escape(light.caption)
    return (
        f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{_uri(dark)}">'
        f'<img src="{_uri(light)}" alt="{caption}"></picture>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def count(number: int, one: str, many: str) -> str:
    """Write a number with its noun."""
    return f"{number:,} {one if number == 1 else many}"


def _cell(value: str, kind: str) -> str:
    kind = value if value in {"better", "worse"} else kind
    return f'<td class="{kind}">{escape(value)}</td>'


def _uri(plot: Plot) -> str:
    return f"data:image/png;base64,{base64.b64encode(plot.png).decode()}"


def _read_style() -> str:
    return (files(__package__ or "") / _STYLE).read_text(encoding="utf-8")
