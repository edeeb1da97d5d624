"""An evaluation as pictures, on light and on dark paper; the only door to matplotlib.

Colours are Okabe and Ito's, told apart by markers too; what is drawn stands in the tables as well.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from toolcrib_registry.errors import InvalidInput

from .measures import MAIN, missing
from .results import Evaluation, Score
from .tables import HEADINGS, MACRO

_DPI: Final = 160
_WIDTH: Final = 9.0
_MARKERS: Final = "osD^vPX*h"
_SPREAD: Final = 0.76
"""Of the room between two sets, what their configurations take."""
_PER_MARK: Final = 0.13
_PER_SET: Final = 0.24
_LEGEND_COLUMNS: Final = 5
_MANY: Final = 12


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of one paper."""

    name: str
    paper: str
    ink: str
    faint: str
    colours: tuple[str, ...]


_LIGHT: Final = Theme(
    "light",
    "#ffffff",
    "#1f2328",
    "#d8dde3",
    ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#3b9fd6", "#555b66", "#7b3fa0"),
)
_DARK: Final = Theme(
    "dark",
    "#14181d",
    "#e6e9ed",
    "#343b44",
    ("#56b4e9", "#ff9d5c", "#3fd0a4", "#e8a5cb", "#f0e442", "#8fb4ff", "#b3bac4", "#c79bee"),
)
THEMES: Final = (_LIGHT, _DARK)


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture, and what it shows in words."""

    png: bytes
    caption: str


def check_available() -> None:
    """Check that the library is installed.

    Raises:
        InvalidInput: It is not; says what to install.
    """
    _figure_class()


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
    figure, axes = _paper(theme, height)
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
            **_style(theme, place),
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
    return _finish(figure, axes, theme, grid="x")


def _draw_recall(evaluation: Evaluation, theme: Theme) -> bytes:
    figure, axes = _paper(theme, 4.6)
    depth = range(1, evaluation.k + 1)
    for place, (name, score) in enumerate(evaluation.macro.items()):
        values = [100 * value for value in score.recall_curve]
        style = _style(theme, place)
        axes.plot(depth, values, **style, label=name, linewidth=1.6, markevery=_every(evaluation.k))
    axes.set_xlabel("k, results looked at")
    axes.set_ylabel("recall, percent")
    axes.set_xlim(0.5, evaluation.k + 0.5)
    if evaluation.k <= _MANY:
        axes.set_xticks(depth)
    return _finish(figure, axes, theme, grid="both")


def _draw_latency(evaluation: Evaluation, theme: Theme) -> bytes:
    names = list(evaluation.macro)
    figure, axes = _paper(theme, 1.5 + 0.42 * len(names))
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
    return _finish(figure, axes, theme, grid="x")


def _every(k: int) -> int:
    return max(1, k // 10)


def _style(theme: Theme, place: int) -> dict[str, Any]:
    return {
        "color": theme.colours[place % len(theme.colours)],
        "marker": _MARKERS[place % len(_MARKERS)],
        "markersize": 5.5,
    }


def _paper(theme: Theme, height: float) -> tuple[Any, Any]:
    figure = _figure_class()(figsize=(_WIDTH, height), dpi=_DPI, facecolor=theme.paper)
    axes = figure.add_subplot()
    axes.set_facecolor(theme.paper)
    return figure, axes


def _finish(figure: Any, axes: Any, theme: Theme, *, grid: str) -> bytes:
    axes.grid(visible=True, axis=grid, color=theme.faint, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.ink, length=0, labelsize=10)
    for side in axes.spines.values():
        side.set_visible(False)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(theme.ink)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=_columns(labels),
        frameon=False,
        labelcolor=theme.ink,
    )
    figure.set_layout_engine("constrained")
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _columns(labels: Sequence[str]) -> int:
    return min(len(labels), _LEGEND_COLUMNS)


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # an extra, and slow to import
    except ImportError as error:
        raise InvalidInput(missing("matplotlib")) from error
    return Figure
