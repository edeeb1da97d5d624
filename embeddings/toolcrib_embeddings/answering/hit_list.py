"""What is shown of an arrangement: hits, with the signals that each has its place from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.hits import Hit, Signal
from toolcrib_embeddings.indexing.roster import Roster
from toolcrib_embeddings.ranking.fusion import Evidence, Fused
from toolcrib_embeddings.ranking.structure import Placed

from .candidates import Candidates
from .likelihoods import Likelihoods, best_of_steps


class HitList:
    """Makes the hits of one answer."""

    def __init__(
        self,
        candidates: Candidates,
        evidence: Evidence,
        fused: Fused,
        likely: Likelihoods | None,
        roster: Roster,
    ) -> None:
        self._rows = candidates.rows
        self._found = candidates.found
        self._evidence = evidence
        self._fused = fused
        self._likely = likely
        self._ids = roster.ids
        self._best_of_steps: list[list[int]] = best_of_steps(fused).tolist()

    def make(self, placed: Sequence[Placed]) -> tuple[Hit, ...]:
        """Make a hit for each place; scores never rise from one to the next."""
        rows = np.array([each.row for each in placed], dtype=np.intp)
        columns = np.minimum(np.searchsorted(self._rows, rows), len(self._rows) - 1)
        is_candidate: list[bool] = (self._rows[columns] == rows).tolist()
        ranks = self._ranks(rows, columns)
        hits: list[Hit] = []
        for place, (each, column) in enumerate(zip(placed, columns.tolist(), strict=True)):
            least = hits[-1].score if hits else float("inf")
            if is_candidate[place]:
                score = min(float(self._fused.scores[column]), least)
                signals = self._signals(column, {name: its[place] for name, its in ranks.items()})
                hits.append(self._hit(each, score, column, signals))
            else:
                hits.append(self._hit(each, least))
        return tuple(hits)

    def _hit(
        self,
        placed: Placed,
        score: float,
        column: int | None = None,
        signals: Mapping[str, Signal] | None = None,
    ) -> Hit:
        mine = [] if column is None else [column, *self._columns(placed.alternatives)]
        return Hit(
            self._ids[placed.row],
            score,
            signals or {},
            alternatives=tuple(self._ids[row] for row in placed.alternatives),
            required_by=tuple(self._ids[row] for row in placed.required_by),
            required_how=placed.how,
            required_why=placed.why,
            steps=self._steps(mine),
            likelihood=self._likelihood(mine),
        )

    def _ranks(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> dict[str, list[int]]:
        """Tell by signal how high each stands, from 1; 0 for what a retriever did not find."""
        ranks: dict[str, list[int]] = {}
        for name, (found, _) in self._found.items():
            ranks[name] = _places(rows, found)
        for name, values in self._fused.summands.items():
            if name not in ranks:
                better = np.count_nonzero(values > values[columns][:, None], axis=1)
                ranks[name] = (1 + better).tolist()
        return ranks

    def _signals(self, column: int, ranks: Mapping[str, int]) -> dict[str, Signal]:
        signals: dict[str, Signal] = {}
        summands = self._fused.summands
        for name in summands or self._found:
            gave = round(float(summands[name][column]), 4) if summands else None
            if name in self._found:
                if rank := ranks[name]:
                    score = float(self._found[name][1][rank - 1])
                    signals[name] = Signal(rank, score, gave)
            elif gave:
                measured = self._evidence.signals.get(name)
                score = gave if measured is None else float(measured[0, column])
                signals[name] = Signal(ranks[name], score, gave)
        return signals

    def _columns(self, rows: Sequence[int]) -> list[int]:
        return np.searchsorted(self._rows, rows).tolist() if rows else []

    def _likelihood(self, mine: Sequence[int]) -> float | None:
        """Give what the whole says of an entry; what steps say of it or its copies, if more."""
        if self._likely is None or not mine:
            return None
        by_whole, by_steps = self._likely.by_whole[mine[0]], self._likely.by_steps[mine]
        return float(max(by_whole, by_steps.max()))

    def _steps(self, mine: Sequence[int]) -> tuple[int, ...]:
        best = enumerate(self._best_of_steps)
        return tuple(step for step, columns in best if not set(columns).isdisjoint(mine))


def _places(rows: NDArray[np.intp], found: NDArray[np.intp]) -> list[int]:
    """Tell for each row which of ``found`` it is, from 1; 0 for none of them."""
    places = np.zeros(len(rows), dtype=np.intp)
    ours, theirs = np.nonzero(rows[:, None] == found)
    places[ours] = 1 + theirs
    return places.tolist()
