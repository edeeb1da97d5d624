"""How good rankings are, by trec_eval through ir-measures; the only door to that library.

Grades are gains as they are (trec_eval's nDCG); any grade above zero is relevant elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from toolcrib_registry.errors import InvalidInput

from .judgements import Judgements
from .trial import Answered

MEASURES: Final = (
    "ndcg@1",
    "ndcg@5",
    "ndcg@10",
    "recall@1",
    "recall@5",
    "recall@10",
    "mrr",
    "completeness@10",
)
"""In the order of columns."""
MAIN: Final = "ndcg@10"
DEEPEST: Final = 10
"""How far down a ranking the measures look; shorter rankings cannot be judged by them."""
_CUTS: Final = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class Judged:
    """The measures of one trial: a row for each query, in the set's order."""

    values: NDArray[np.float64]
    """Shape ``(queries, measures)``, from 0 to 1."""
    curve: NDArray[np.float64]
    """Mean recall at 1, 2, … k; shape ``(k,)``."""


def check_available() -> None:
    """Check that the library is installed.

    Raises:
        InvalidInput: It is not; says what to install.
    """
    _library()


def judge(answers: Sequence[Answered], judgements: Judgements, *, k: int) -> Judged:
    """Judge what queries got. All of them must have judgements."""
    ir = _library()
    measures = _measures(ir, k)
    rows = {answer.query: row for row, answer in enumerate(answers)}
    columns = {str(measure): column for column, measure in enumerate(measures)}
    table = np.zeros((len(rows), len(columns)))
    grades = {query: dict(judgements[query]) for query in rows}
    # A rank is its own score: trec_eval orders by score, and ties by name.
    run = {a.query: {id_: float(k - i) for i, id_ in enumerate(a.found)} for a in answers}
    for metric in ir.pytrec_eval.evaluator(measures, grades).iter_calc(run):
        table[rows[metric.query_id], columns[str(metric.measure)]] = metric.value
    recall = {at: table[:, columns[str(ir.R @ at)]] for at in range(1, k + 1)}
    ndcg = [table[:, columns[str(ir.nDCG @ at)]] for at in _CUTS]
    values = [
        *ndcg,
        *(recall[at] for at in _CUTS),
        table[:, columns[str(ir.RR)]],
        (recall[DEEPEST] == 1.0).astype(np.float64),
    ]
    return Judged(np.stack(values, axis=1), np.array([recall[at].mean() for at in sorted(recall)]))


def _measures(ir: Any, k: int) -> list[Any]:
    return [*(ir.nDCG @ at for at in _CUTS), ir.RR, *(ir.R @ at for at in range(1, k + 1))]


def _library() -> Any:
    try:
        import ir_measures  # noqa: PLC0415  # an extra, and only judging pays for its import
    except ImportError as error:
        raise InvalidInput(missing("ir-measures")) from error
    return ir_measures


def missing(library: str) -> str:
    """Say what to install for a part of the extra that is missing."""
    return f"{library} is not installed. Install the extra: pip install 'toolcrib[eval]'"


def not_found(answer: Answered, judgements: Judgements) -> Iterator[str]:
    """List the relevant tools that a query should have got and did not."""
    grades = judgements[answer.query]
    return (tool for tool, grade in grades.items() if grade > 0 and tool not in answer.found)
