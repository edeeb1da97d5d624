"""Each stage of a selection in a sentence: guard, limits, quality, cost, Pareto set, choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from toolcrib_server.selection.choices import Selection

if TYPE_CHECKING:
    from toolcrib_server.selection.routing.choice import Expectation
    from toolcrib_server.selection.routing.router import Routing

_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage, and what came of it."""

    name: str
    said: str


def stages_of(selection: Selection) -> tuple[Stage, ...]:
    """Say what each stage did, in order; empty where past outcomes had no part in it."""
    routing = selection.routing
    return tuple(_stages(selection, routing)) if routing else ()


def _stages(selection: Selection, routing: Routing) -> Iterator[Stage]:
    yield Stage("guard", routing.domain.reason if routing.domain else "No domain is described.")
    out = selection.considered - selection.passed
    yield Stage(
        "limits",
        f"{selection.passed} of {selection.considered} offers meet every limit, {out} were "
        "excluded.",
    )
    ranked = routing.choice.ranked
    if not ranked:
        yield Stage("quality", "No outcome of these models is known.")
        return
    yield Stage("quality", " ".join(f"{e.model}: {e.reason}" for e in ranked[:_NAMED]))
    yield Stage("cost", _costs(ranked))
    front = [one.model for one in ranked if one.on_front]
    yield Stage("pareto", f"Beaten by none in quality, cost and latency: {', '.join(front)}.")
    yield Stage("choice", " ".join(routing.choice.reasons))


def _costs(ranked: Sequence[Expectation]) -> str:
    said = [
        f"{one.model} {_money(one.cost_usd)}, {_time(one.latency_ms)}" for one in ranked[:_NAMED]
    ]
    over = sum(not one.within_budget for one in ranked)
    return f"{'; '.join(said)}." + (f" {over} are over the budget." if over else "")


def _money(usd: float | None) -> str:
    return "at an unknown cost" if usd is None else f"about {usd:.2g} USD"


def _time(ms: float | None) -> str:
    return "in an unknown time" if ms is None else f"in about {ms / 1e3:.2g} s"
