"""How well the guard tells queries of its domains from others, after a few calibrating queries."""

from __future__ import annotations

from typing import Final

import numpy as np

from toolcrib_server.selection.routing.arrays import Booleans, Floats, Integers, Singles
from toolcrib_server.selection.routing.guard import KEEP, DomainGuard, conformal_threshold

from .measures import Curve, harmonic, separate
from .results import GuardResult
from .sets import OUTSIDE, GuardSet

CALIBRATING: Final = 30
_DRAWS: Final = 100
_PLAIN_NEAREST: Final = 10
_SHARES: Final = 21


def judge_guard(given: GuardSet, vectors: Singles, *, seed: int) -> GuardResult:
    """Learn the domains from the examples, and judge on the other queries."""
    examples = np.array(given.is_example)
    labels = np.array(given.labels)
    names = tuple(dict.fromkeys(labels[examples & (labels != OUTSIDE)].tolist()))
    guard = DomainGuard.fit(
        {
            name: (
                _texts(given, rows := np.flatnonzero(examples & (labels == name))),
                vectors[rows],
            )
            for name in names
        }
    )
    rows = np.flatnonzero(~examples & np.isin(labels, (*names, OUTSIDE)))
    scores, nearest = guard.score(_texts(given, rows), vectors[rows])
    inside = labels[rows] != OUTSIDE
    right = np.array(names)[nearest] == labels[rows]
    draws = _draw(scores, inside, right, seed)
    mean, spread = draws.mean(axis=0), draws.std(axis=0)
    plain = _plain_cosines(vectors[rows], vectors[examples & (labels != OUTSIDE)])
    return GuardResult(
        name=given.name,
        folder=str(given.folder),
        data_hash=given.data_hash,
        examples=int((examples & (labels != OUTSIDE)).sum()),
        domains=names,
        inside=int(inside.sum()),
        outside=int((~inside).sum()),
        auroc=separate(scores[inside], scores[~inside]),
        auroc_cosine=separate(plain[inside], plain[~inside]),
        calibrating=min(CALIBRATING, int(inside.sum()) // 2),
        draws=_DRAWS,
        score=float(mean[0]),
        score_spread=float(spread[0]),
        inside_accuracy=float(mean[1]),
        outside_accuracy=float(mean[2]),
        domain_accuracy=float(right[inside].mean()),
        abstention=_by_share(scores, inside & right),
    )


def _texts(given: GuardSet, rows: Integers) -> list[str]:
    return [given.queries[row] for row in rows.tolist()]


def _draw(scores: Floats, inside: Booleans, right: Booleans, seed: int) -> Floats:
    """Calibrate on some in-domain queries and judge all others, many times over."""
    random = np.random.default_rng(seed)
    own = np.flatnonzero(inside)
    count = min(CALIBRATING, len(own) // 2)
    found = np.zeros((_DRAWS, 3))
    for draw in range(_DRAWS):
        chosen = random.choice(own, count, replace=False)
        threshold = conformal_threshold(np.sort(scores[chosen]), keep=KEEP)
        rest = np.setdiff1d(own, chosen)
        let_in = float(((scores[rest] >= threshold) & right[rest]).mean())
        refused = float((scores[~inside] < threshold).mean())
        found[draw] = (harmonic(let_in, refused), let_in, refused)
    return found


def _plain_cosines(points: Singles, examples: Singles) -> Floats:
    similar = points @ examples.T
    count = min(_PLAIN_NEAREST, similar.shape[1])
    return -np.partition(-similar, count - 1, axis=1)[:, :count].mean(axis=1).astype(np.float64)


def _by_share(scores: Floats, right: Booleans) -> Curve:
    order = np.argsort(-scores, kind="stable")
    shares = np.linspace(0, 1, _SHARES)[1:]
    counts = np.maximum((shares * len(order)).astype(np.int64), 1)
    correct = np.cumsum(right[order])[counts - 1] / counts
    return Curve(tuple(shares.tolist()), tuple(correct.tolist()))
