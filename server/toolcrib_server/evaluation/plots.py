"""An evaluation of search as pictures; what is drawn stands in the tables as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .measures import MAIN
from .paper import Plot, Theme, finish, open_paper, style
from .results import Evaluation, Score
from .tables import HEADINGS, MACRO

_SPREAD: Final = 0.76
"""Of the room between two sets, what their configurations take."""
_PER_MARK: Final = 0.13
_PER_SET: Final = 0.24
_MANY: Final = 12


def draw_all(evaluation: Evaluation, theme: Theme) -> Mapping[str, Plot]:
    """Draw every picture; names are those of the files."""
    return {
        "ndcg": Plot(
            _draw_scores(evaluation, theme),
            f"{HEADINGS[MAIN]} by set and configuration, in percent, with 95 % intervals.",
        ),
        "recall": Plot(
            _draw_recall(evaluation, theme),
            "Recall among the first k results, in percent"
            + (", averaged over the sets." if len(evaluation.sets) > 1 else "."),
        ),
        "latency": Plot(
            _draw_latency(evaluation, theme),
            "Median time of a query by stage; the tick is the 95th percentile of the whole.",
        ),
    }


def _draw_scores(evaluation: Evaluation, theme: Theme) -> bytes:
    groups: list[tuple[str, Mapping[str, Score]]] = [(s.name, s.scores) for s in evaluation.sets]
    if len(groups) > 1:
        groups.append((MACRO, evaluation.macro))
    names = list(evaluation.macro)
    height = 1.3 + len(groups) * (_PER_SET + _PER_MARK * len(names))
    figure, axes = open_paper(theme, height)
    for place, name in enumerate(names):
        offset = _SPREAD * ((place + 0.5) / len(names) - 0.5)
        found = [scores[name].measures[MAIN] for _, scores in groups]
        axes.errorbar(
            [100 * e.mean for e in found],
            [row + offset for row in range(len(groups))],
            xerr=[
                [100 * (e.mean - e.low) for e in found],
                [100 * (e.high - e.mean) for e in found],
            ],
            **style(theme, place),
            label=name,
            linestyle="none",
            elinewidth=1.4,
            capsize=2.5,
        )
    if len(groups) > 1:
        axes.axhline(len(groups) - 1.5, color=theme.ink, linewidth=0.8)
    axes.set_yticks(range(len(groups)), [name for name, _ in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_xlabel(f"{HEADINGS[MAIN]}, percent")
    return finish(figure, axes, theme, grid="x")


def _draw_recall(evaluation: Evaluation, theme: Theme) -> bytes:
    figure, axes = open_paper(theme, 4.6)
    depth = range(1, evaluation.k + 1)
    for place, (name, score) in enumerate(evaluation.macro.items()):
        values = [100 * value for value in score.recall_curve]
        look = style(theme, place)
        axes.plot(depth, values, **look, label=name, linewidth=1.6, markevery=_every(evaluation.k))
    axes.set_xlabel("k, results looked at")
    axes.set_ylabel("recall, percent")
    axes.set_xlim(0.5, evaluation.k + 0.5)
    if evaluation.k <= _MANY:
        axes.set_xticks(depth)
    return finish(figure, axes, theme, grid="both")


def _draw_latency(evaluation: Evaluation, theme: Theme) -> bytes:
    names = list(evaluation.macro)
    figure, axes = open_paper(theme, 1.5 + 0.42 * len(names))
    scores = list(evaluation.macro.values())
    rows = range(len(names))
    encode = [score.encode.p50_ms for score in scores]
    search = [score.search.p50_ms for score in scores]
    axes.barh(rows, encode, height=0.55, color=theme.colours[0], label="encode, p50")
    axes.barh(rows, search, left=encode, height=0.55, color=theme.colours[1], label="search, p50")
    worst = [score.whole.p95_ms for score in scores]
    axes.plot(
        *(worst, rows), color=theme.ink, marker="|", markersize=15, linestyle="none",
        label="whole, p95",
    )  # fmt: skip
    axes.set_yticks(rows, names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("milliseconds a query")
    return finish(figure, axes, theme, grid="x")


def _every(k: int) -> int:
    return max(1, k // 10)
