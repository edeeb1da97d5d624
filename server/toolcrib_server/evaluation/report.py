"""An evaluation as one page of HTML that needs nothing else: styles and pictures are in it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html import escape
from importlib.resources import files
from typing import Final

from .configurations import SHIPPED
from .plots import Plot, Theme
from .results import Evaluation
from .significance import CONFIDENCE, RESAMPLES
from .tables import (
    MACRO,
    Table,
    comparison_tables,
    latency_table,
    notices,
    percent,
    score_table,
    set_table,
)

_STYLE: Final = "report.css"
_CARDS: Final = {
    "ndcg@10": "NDCG@10",
    "recall@5": "Recall@5",
    "recall@10": "Recall@10",
    "mrr": "MRR",
    "completeness@10": "Completeness@10",
}
_TEXT_COLUMNS: Final = frozenset({"set", "configuration", "verdict", "data"})
_COLUMNS: Final = """
<p class="soft">NDCG@n rewards relevant tools near the top of the first n; R@n is the share of the
relevant tools among the first n; MRR is one over the rank of the first relevant tool; C@10,
completeness, is the share of queries whose relevant tools are all among the first 10. In percent.
p50 and p95 are milliseconds of the whole search, encoding included.</p>
"""


def render_report(evaluation: Evaluation, plots: Mapping[Theme, Mapping[str, Plot]]) -> str:
    """Render the page. ``plots`` are those of each theme: light first, then dark."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Retrieval evaluation</title>\n<style>\n{_read_style()}</style>\n</head>\n"
        "<body>\n<main>\n" + "\n".join(_parts(evaluation, plots)) + "\n</main>\n</body>\n</html>\n"
    )


def _read_style() -> str:
    return (files(__package__ or "") / _STYLE).read_text(encoding="utf-8")


def _parts(evaluation: Evaluation, plots: Mapping[Theme, Mapping[str, Plot]]) -> Iterator[str]:
    yield from _head(evaluation)
    yield from _cards(evaluation)
    light, dark = list(plots.values())
    figures = {name: _figure(plot, dark[name]) for name, plot in light.items()}
    yield f"<h2>By set</h2>{figures['ndcg']}"
    scores = score_table(evaluation)
    # What most readers look for comes first; a terminal shows what comes last.
    rows = sorted(scores.rows, key=lambda row: row[0] != MACRO)
    yield f"<h2>{scores.title}</h2>{_COLUMNS}{_table(replace(scores, rows=tuple(rows)))}"
    for table in comparison_tables(evaluation):
        yield f"<h2>{escape(table.title)}</h2>{_notes(table)}{_table(table)}"
    yield f"<h2>How deep to look</h2>{figures['recall']}"
    yield f"<h2>Time</h2>{figures['latency']}{_table(latency_table(evaluation))}"
    sets = set_table(evaluation)
    yield f"<h2>{sets.title}</h2>{_notes(sets)}{_table(sets)}"
    yield from _left_out(evaluation)
    yield from _method(evaluation)


def _head(evaluation: Evaluation) -> Iterator[str]:
    sets, queries = len(evaluation.sets), evaluation.queries
    tools = sum(each.tools for each in evaluation.sets)
    yield "<h1>Retrieval evaluation</h1>"
    yield (
        f'<p class="soft">{_count(queries, "query", "queries")} over {tools:,} tools in '
        f"{_count(sets, 'set', 'sets')}, {evaluation.at:%Y-%m-%d %H:%M} UTC</p>"
    )
    yield f"<pre>{escape(evaluation.command)}</pre>"


def _cards(evaluation: Evaluation) -> Iterator[str]:
    name = SHIPPED if SHIPPED in evaluation.macro else next(iter(evaluation.macro))
    score = evaluation.macro[name]
    cards = [(percent(score.measures[m].mean), label) for m, label in _CARDS.items()]
    if score.whole.queries:
        cards.append((f"{score.whole.p50_ms:.1f} ms", "median search"))
    where = MACRO if len(evaluation.sets) > 1 else next(iter(evaluation.sets)).name
    yield f'<p class="soft">{escape(name)}, {escape(where)}, percent:</p>'
    inner = "".join(
        f'<div class="card"><b>{value}</b><span>{label}</span></div>' for value, label in cards
    )
    yield f'<div class="cards">{inner}</div>'


def _table(table: Table) -> str:
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


def _cell(value: str, kind: str) -> str:
    kind = value if value in {"better", "worse"} else kind
    return f'<td class="{kind}">{escape(value)}</td>'


def _notes(table: Table) -> str:
    return "".join(f'<p class="soft">{escape(note)}</p>' for note in table.notes)


def _figure(light: Plot, dark: Plot) -> str:
    caption = escape(light.caption)
    return (
        f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{_uri(dark)}">'
        f'<img src="{_uri(light)}" alt="{caption}"></picture>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _uri(plot: Plot) -> str:
    return f"data:image/png;base64,{base64.b64encode(plot.png).decode()}"


def _left_out(evaluation: Evaluation) -> Iterator[str]:
    said = [notice for each in evaluation.sets for notice in notices(each)]
    if said:
        items = "".join(f"<li>{escape(notice)}</li>" for notice in said)
        yield f"<h2>Left out</h2><ul>{items}</ul>"


def _method(evaluation: Evaluation) -> Iterator[str]:
    facts = {
        "toolcrib": evaluation.version,
        "encoder": evaluation.encoder,
        "machine": evaluation.machine,
        "results a query (k)": str(evaluation.k),
        "seed": str(evaluation.seed),
        "queries a set, at most": "all" if evaluation.limit is None else str(evaluation.limit),
        "documents": evaluation.representation,
        "near-duplicates": "folded" if evaluation.fold else "not folded",
        "took": f"{evaluation.seconds:.0f} s",
    }
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    yield f"<h2>How it was measured</h2><dl>{items}</dl>"
    yield (
        f'<p class="soft">Intervals hold {100 * CONFIDENCE:.0f} % of {RESAMPLES:,} bootstrap means '
        "over queries; p-values are two-sided, from as many paired randomisations, corrected by "
        "Holm's step-down. They speak of other queries on these sets, not of other sets. "
        "Measures are trec_eval's, by ir-measures.</p>"
    )


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
