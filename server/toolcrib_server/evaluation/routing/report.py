"""An evaluation of routing as one page of HTML that needs nothing else, and as files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Final

from toolcrib_server.evaluation.files import REPORT, RESULTS, make_folder, write_files
from toolcrib_server.evaluation.page import (
    render_cards,
    render_facts,
    render_figure,
    render_notes,
    render_page,
    render_table,
)
from toolcrib_server.evaluation.paper import THEMES, Plot, Theme
from toolcrib_server.evaluation.tables import Table

from .plots import draw_all
from .policies import OURS
from .results import RoutingEvaluation, RoutingResult, render_results
from .tables import guard_table, policy_table, quality_table

_MEASURES: Final = """
<p class="soft">Score: mean of what was chosen, quality first. AIQ: mean score over all costs
from the cheapest to the dearest model, along the convex hull. APGR: share of the gap between two
models that is closed, averaged over shares of calls; CPT: the share of calls that closes half, and
four fifths, of it. The oracle knows each score beforehand, and the domain look-up is given each
query's label; nothing else is.</p>
"""


def write_routing(folder: Path, evaluation: RoutingEvaluation) -> tuple[Path, ...]:
    """Write figures, plots and a report; return what was written.

    Raises:
        InvalidInput: The folder cannot be written to.
    """
    make_folder(folder)
    plots = {theme: draw_all(evaluation, theme) for theme in THEMES}
    contents = {f"{name}.png": plot.png for name, plot in plots[THEMES[0]].items()}
    contents[REPORT] = render_report(evaluation, plots).encode()
    rendered = json.dumps(render_results(evaluation), indent=1, ensure_ascii=False)
    contents[RESULTS] = (rendered + "\n").encode()
    return write_files(folder, contents)


def render_report(evaluation: RoutingEvaluation, plots: Mapping[Theme, Mapping[str, Plot]]) -> str:
    """Render the page. ``plots`` are those of each theme: light first, then dark."""
    light, dark = list(plots.values())
    figures = {name: render_figure(plot, dark[name]) for name, plot in light.items()}
    return render_page("Routing evaluation", _parts(evaluation, figures))


def _parts(evaluation: RoutingEvaluation, figures: Mapping[str, str]) -> Iterator[str]:
    yield "<h1>Routing evaluation</h1>"
    yield f'<p class="soft">{evaluation.at:%Y-%m-%d %H:%M} UTC, {escape(evaluation.split)}</p>'
    yield f"<pre>{escape(evaluation.command)}</pre>"
    for each in evaluation.sets:
        yield from _set(each, figures)
    if evaluation.sets:
        yield _MEASURES
        yield _section(quality_table(evaluation))
    if evaluation.guards:
        yield _section(guard_table(evaluation.guards))
        yield from (figures[f"{guard.name}-guard"] for guard in evaluation.guards)
    facts = {
        "toolcrib": evaluation.version,
        "encoder": evaluation.encoder,
        "machine": evaluation.machine,
        "split": evaluation.split,
        "seed": str(evaluation.seed),
        "data": ", ".join(
            f"{e.name} {e.data_hash}" for e in (*evaluation.sets, *evaluation.guards)
        ),
        "took": f"{evaluation.seconds:.0f} s",
    }
    yield f"<h2>How it was measured</h2>{render_facts(facts)}"


def _set(result: RoutingResult, figures: Mapping[str, str]) -> Iterator[str]:
    by_name = {policy.name: policy for policy in result.policies}
    ours = by_name[OURS]
    yield f"<h2>{escape(result.name)}</h2>"
    cards = [
        (f"{ours.score:.3f}", "mean score"),
        (f"{ours.difference:+.3f}", "against the best single model"),
    ]
    if ours.gap:
        cards.append((f"{ours.gap.apgr:.3f}", "APGR"))
    yield render_cards([*cards, (f"{result.decision_p95_ms:.1f} ms", "a decision, p95")])
    table = policy_table(result)
    yield render_notes(table) + render_table(table)
    yield from (figure for name, figure in figures.items() if name.startswith(f"{result.name}-"))


def _section(table: Table) -> str:
    return f"<h2>{escape(table.title)}</h2>{render_notes(table)}{render_table(table)}"
