"""An evaluation as one page of HTML that needs nothing else: styles and pictures are in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from html import escape
from typing import Final

from .configurations import SHIPPED
from .page import (
    count,
    render_cards,
    render_facts,
    render_figure,
    render_notes,
    render_page,
    render_table,
)
from .paper import Plot, Theme
from .results import Evaluation
from .significance import CONFIDENCE, RESAMPLES
from .tables import (
    MACRO,
    comparison_tables,
    latency_table,
    notices,
    percent,
    score_table,
    set_table,
)

_CARDS: Final = {
    "ndcg@10": "NDCG@10",
    "recall@5": "Recall@5",
    "recall@10": "Recall@10",
    "mrr": "MRR",
    "completeness@10": "Completeness@10",
}
_COLUMNS: Final = """
<p class="soft">NDCG@n rewards relevant tools near the top of the first n; R@n is the share of the
relevant tools among the first n; MRR is one over the rank of the first relevant tool; C@10,
completeness, is the share of queries whose relevant tools are all among the first 10. In percent.
p50 and p95 are milliseconds of the whole search, encoding included.</p>
"""


def render_report(evaluation: Evaluation, plots: Mapping[Theme, Mapping[str, Plot]]) -> str:
    """Render the page. ``plots`` are those of each theme: light first, then dark."""
    return render_page("Retrieval evaluation", _parts(evaluation, plots))


def _parts(evaluation: Evaluation, plots: Mapping[Theme, Mapping[str, Plot]]) -> Iterator[str]:
    yield from _head(evaluation)
    yield from _cards(evaluation)
    light, dark = list(plots.values())
    figures = {name: render_figure(plot, dark[name]) for name, plot in light.items()}
    yield f"<h2>By set</h2>{figures['ndcg']}"
    scores = score_table(evaluation)
    # What most readers look for comes first; a terminal shows what comes last.
    rows = sorted(scores.rows, key=lambda row: row[0] != MACRO)
    yield f"<h2>{scores.title}</h2>{_COLUMNS}{render_table(replace(scores, rows=tuple(rows)))}"
    for table in comparison_tables(evaluation):
        yield f"<h2>{escape(table.title)}</h2>{render_notes(table)}{render_table(table)}"
    yield f"<h2>How deep to look</h2>{figures['recall']}"
    yield f"<h2>Time</h2>{figures['latency']}{render_table(latency_table(evaluation))}"
    sets = set_table(evaluation)
    yield f"<h2>{sets.title}</h2>{render_notes(sets)}{render_table(sets)}"
    yield from _left_out(evaluation)
    yield from _method(evaluation)


def _head(evaluation: Evaluation) -> Iterator[str]:
    sets, queries = len(evaluation.sets), evaluation.queries
    tools = sum(each.tools for each in evaluation.sets)
    yield "<h1>Retrieval evaluation</h1>"
    yield (
        f'<p class="soft">{count(queries, "query", "queries")} over {tools:,} tools in '
        f"{count(sets, 'set', 'sets')}, {evaluation.at:%Y-%m-%d %H:%M} UTC</p>"
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
    yield render_cards(cards)


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
    yield f"<h2>How it was measured</h2>{render_facts(facts)}"
    yield (
        f'<p class="soft">Intervals hold {100 * CONFIDENCE:.0f} % of {RESAMPLES:,} bootstrap means '
        "over queries; p-values are two-sided, from as many paired randomisations, corrected by "
        "Holm's step-down. They speak of other queries on these sets, not of other sets. "
        "Measures are trec_eval's, by ir-measures.</p>"
    )
