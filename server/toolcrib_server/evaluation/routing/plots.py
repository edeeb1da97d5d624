"""An evaluation of routing as pictures; what is drawn stands in the tables as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from toolcrib_server.evaluation.paper import Plot, Theme, finish, open_paper, style

from .measures import Curve
from .results import GuardResult, RoutingEvaluation, RoutingResult

_HEIGHT = 4.6


def draw_all(evaluation: RoutingEvaluation, theme: Theme) -> Mapping[str, Plot]:
    """Draw every picture; names are those of the files."""
    drawn: dict[str, Plot] = {}
    for each in evaluation.sets:
        drawn |= dict(_of_set(each, theme))
    for guard in evaluation.guards:
        drawn[f"{guard.name}-guard"] = _guard(guard, theme)
    return drawn


def _of_set(result: RoutingResult, theme: Theme) -> Iterator[tuple[str, Plot]]:
    curves = {p.name: p.hull for p in result.policies if p.hull is not None}
    if curves:
        caption = f"{result.name}: the best mean score that each policy buys at a mean cost."
        axes = ("mean cost of a query, USD", "mean score")
        yield f"{result.name}-cost", Plot(_lines(curves, theme, *axes), caption)
    gaps = {p.name: p.gap.curve for p in result.policies if p.gap is not None}
    if gaps:
        caption = f"{result.name}: share of the gap closed by share of calls to the stronger model."
        axes = ("share of calls to the stronger model", "share of the gap closed")
        yield f"{result.name}-gap", Plot(_lines(gaps, theme, *axes), caption)
    c = result.calibration
    true = {"expected and came true": Curve(c.expected, c.actual)}
    true["exactly as expected"] = Curve((0.0, 1.0), (0.0, 1.0))
    caption = f"{result.name}: mean score that came of queries, by the score that was expected."
    picture = _lines(true, theme, "expected score", "mean score")
    yield f"{result.name}-calibration", Plot(picture, caption)
    caption = f"{result.name}: mean score when only the surest share is routed."
    picture = _lines({"toolcrib": result.abstention}, theme, "share routed", "mean score")
    yield f"{result.name}-abstention", Plot(picture, caption)


def _guard(guard: GuardResult, theme: Theme) -> Plot:
    picture = _lines({"guard": guard.abstention}, theme, "share let in", "share of those right")
    return Plot(picture, f"{guard.name}: in domain and of the right one, by the share let in.")


def _lines(curves: Mapping[str, Curve], theme: Theme, x: str, y: str) -> bytes:
    figure, axes = open_paper(theme, _HEIGHT)
    for place, (name, curve) in enumerate(curves.items()):
        axes.plot(curve.x, curve.y, **style(theme, place), label=name, linewidth=1.6)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return finish(figure, axes, theme, grid="both")
