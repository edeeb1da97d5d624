"""Knowing when nothing fits: how well it is told, and whether stated error rates hold.

    python benchmarks/abstention.py --data FOLDER [--json FILE] [--fit | --steps]

``FOLDER`` holds ``retrieval`` and ``routing/guard_dev``. All figures of a set come from constants
that were learned without it, and without any set that shares its tools. ``--fit`` learns them
from all sets and prints the ``SHIPPED_CONSTANTS`` of ``abstention.calibration``.

A question has no answer when its tools are taken away: "tools" takes the relevant ones and leaves
their near-duplicates, "alike 0.7" takes every document of cosine 0.7 and more with one of them,
too. Independent of the encoder: "same words" takes whatever has the plain name of one of them, or
half of its description's words in common, and "server" all of their servers or categories. "other
sets" asks the questions of another set, "foreign" everyday and exam questions.

``--steps`` measures the hits of tasks of several steps instead, in searches as served: by what the
whole text says of them, and by what their steps say too.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import _command
import numpy as np
from _calibrating import (
    Examples,
    as_matrix,
    auroc,
    calibration_error,
    fit_constants,
    fit_one,
)
from _likeness import Likeness
from _sets import CACHE, SEED, RetrievalSet, VectorCache, read_queries, read_sets
from _stepping import measure_steps, print_steps
from _tables import print_heads, print_row
from numpy.typing import NDArray

from toolcrib_embeddings import Document, FloatMatrix, FloatVector, SentenceTransformerEncoder
from toolcrib_embeddings.abstention.calibration import Calibration, Constants, strength
from toolcrib_embeddings.abstention.confirmation import Answered, confirm
from toolcrib_embeddings.abstention.probes import choose, make_probes, measure_probes
from toolcrib_embeddings.abstention.signals import Background, Rarity, SearchSignals, joint_evidence
from toolcrib_embeddings.indexing.lexical import Bm25Index
from toolcrib_embeddings.indexing.stemming import Stemmer

RADII = {"tools": 1.01, "alike 0.8": 0.8, "alike 0.7": 0.7, "alike 0.6": 0.6, "alike 0.5": 0.5}
KINDS = (*RADII, "other sets", "foreign")
APART = ("same words", "server")
"""Ways that are measured, and that nothing is learned from."""
FEWEST_ASKED = 40
RATES = (0.05, 0.1, 0.2)
FEWEST_LEFT = 20
HANDFUL = 5
RECALLED = 100
ASKED_ELSEWHERE = 400
CONFIRMED = 100
DRAWS = 50


class Registry:
    """Some documents, asked without an index: every score of every row."""

    def __init__(self, documents: Sequence[Document], vectors: FloatMatrix) -> None:
        self.lexical = Bm25Index.empty().updated(documents)
        self.ids = self.lexical.roster.ids
        rows = {document.id: row for row, document in enumerate(documents)}
        order = [rows[id_] for id_ in self.ids]
        self.documents = [documents[row] for row in order]
        self.vectors = vectors[order]
        self.background = Background.of(self.vectors)
        idf = self.lexical.postings.idf(len(self.lexical.vocabulary))
        self.rarity = Rarity(idf, rows=len(self.ids))
        self.stemmer = Stemmer()

    def keep(self, rows: Sequence[int]) -> Registry:
        """Make a registry of some of the rows alone."""
        return Registry([self.documents[row] for row in rows], self.vectors[list(rows)])

    def word_scores(self, text: str) -> tuple[FloatVector, float]:
        codes = [self.lexical.vocabulary.get(word) for word in self.stemmer.words(text)]
        scores = np.zeros(len(self.ids), dtype=np.float32)
        for id_, score in self.lexical.search(text, k=len(self.ids)):
            scores[self.lexical.roster.rows[id_]] = score
        return scores, self.rarity.possible(codes)


class Question:
    """One question to one registry: what every row scores."""

    def __init__(self, registry: Registry, text: str, vector: FloatVector) -> None:
        self.dense = registry.vectors @ vector
        self.lexical, self.possible = registry.word_scores(text)
        self.background = registry.background.describe(vector)

    def measure(self, rows: NDArray[np.bool_] | None = None) -> SearchSignals:
        """Measure it as a search over ``rows`` would: by what each retriever recalls."""
        dense = self.dense if rows is None else self.dense[rows]
        lexical = self.lexical if rows is None else self.lexical[rows]
        found = self.recall(dense, lexical)
        return SearchSignals.measure(
            dense[found], lexical[found], possible=self.possible, background=self.background
        )

    def recall(self, dense: FloatVector, lexical: FloatVector) -> NDArray[np.intp]:
        depth = min(RECALLED, len(dense)) - 1
        meant = np.argpartition(-dense, depth)[: depth + 1]
        worded = np.argpartition(-lexical, depth)[: depth + 1]
        return np.union1d(meant, worded[lexical[worded] > 0])

    def evidence(self) -> FloatVector:
        return joint_evidence(self.dense, self.lexical, possible=self.possible)


def gather(
    each: RetrievalSet,
    elsewhere: Sequence[tuple[str, str]],
    foreign: Sequence[str],
    vectors: VectorCache,
    encoder: SentenceTransformerEncoder,
) -> Examples:
    documents = list(each.documents.values())
    registry = Registry(documents, vectors.encode([document.text for document in documents]))
    rows = {document.id: row for row, document in enumerate(registry.documents)}
    present: list[SearchSignals] = []
    absent: dict[str, list[SearchSignals]] = {kind: [] for kind in (*KINDS, *APART)}
    likeness = Likeness(registry.documents)
    hits: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []
    handful: tuple[list[SearchSignals], list[SearchSignals]] = ([], [])
    random = np.random.default_rng(SEED)
    asked = vectors.encode(list(each.queries.values()))
    for (query, text), vector in zip(each.queries.items(), asked, strict=True):
        question = Question(registry, text, vector)
        relevant = [rows[each.documents[tool].id] for tool in sorted(each.relevant[query])]
        present.append(question.measure())
        for kind, left in (*_rest(registry.vectors, relevant), *_apart(likeness, relevant)):
            absent[kind].append(question.measure(left))
        others = np.setdiff1d(random.permutation(len(rows))[: HANDFUL + len(relevant)], relevant)
        meant = max(relevant, key=question.dense.__getitem__)  # the others it may just depend on
        few: list[int] = others[: HANDFUL - 1].tolist()
        for kept, into in zip(([meant, *few], few), handful, strict=True):
            into.append(Question(registry.keep(kept), text, vector).measure())
        evidence = question.evidence()
        best = np.argsort(-evidence, kind="stable")[:10]
        hits.append((evidence[best], np.isin(best, relevant)))
    strange = [text for name, text in elsewhere if name.split("_")[0] != each.name.split("_")[0]]
    for kind, texts in (("other sets", strange[:ASKED_ELSEWHERE]), ("foreign", foreign)):
        for text, vector in zip(texts, vectors.encode(texts), strict=True):
            absent[kind].append(Question(registry, text, vector).measure())
    probes = make_probes((row, registry.documents[row]) for row in choose(len(registry.ids)))
    probed = measure_probes(probes, registry.vectors, encoder, registry.word_scores)
    return Examples(each.name, present, absent, probed, handful, hits)


def _rest(vectors: FloatMatrix, relevant: Sequence[int]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    nearest = (vectors @ vectors[relevant].T).max(axis=1)
    nearest[list(relevant)] = 2
    for kind, radius in RADII.items():
        left = nearest < radius
        if np.count_nonzero(left) >= FEWEST_LEFT:
            yield kind, left


def _apart(likeness: Likeness, relevant: Sequence[int]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for kind, find in zip(APART, (likeness.same_words, likeness.same_server), strict=True):
        left = ~np.any([find(row) for row in relevant], axis=0)
        if np.count_nonzero(left) >= FEWEST_LEFT:
            yield kind, left


# --- figures -------------------------------------------------------------------------------------


def measure_set(each: Examples, constants: Constants) -> dict[str, Any]:
    """Measure with constants that do not know the set."""
    registry = Calibration.fit(*each.probed, constants=constants)
    shipped = Calibration.shipped(constants)
    right = [bool(relevant[0]) for _, relevant in each.best_hits]
    return {
        "top hit right": float(np.mean(right)),
        "a perfect judge of the top hit": 0.5 + 0.5 * float(np.mean(right)),
        "auroc": {kind: _auroc_of_halves(each, registry, kind) for kind in (*KINDS, *APART)},
        "oracle": {kind: _oracle(each, kind) for kind in (*KINDS, *APART)},
        "asked apart": {kind: len(each.absent[kind]) for kind in APART},
        "false abstentions": {
            "shipped": {rate: _abstained(each.handful[0], shipped, rate) for rate in RATES},
            "registry": {rate: _abstained(each.present, registry, rate) for rate in RATES},
            "confirmed": {rate: _after_confirmation(each, registry, rate) for rate in RATES},
        },
        "auroc of a handful": auroc(*(_likelihoods(side, shipped) for side in each.handful)),
        "abstained rightly at 0.1": {
            kind: _abstained(each.absent[kind], registry, 0.1) for kind in KINDS
        },
        "calibration error": {
            "registry": _calibration_error(each, registry),
            "hits": _hit_error(each, registry),
        },
    }


def _auroc_of_halves(each: Examples, calibration: Calibration, kind: str) -> float:
    """Half of the questions keep their tools, the other half lose them."""
    order: list[int] = np.random.default_rng(SEED).permutation(len(each.present)).tolist()
    kept = [each.present[place] for place in order[: len(order) // 2]]
    lost = each.absent[kind]
    if len(lost) < FEWEST_ASKED:
        return float("nan")
    if kind in (*RADII, *APART) and len(lost) == len(order):
        lost = [lost[place] for place in order[len(order) // 2 :]]
    return auroc(_likelihoods(kept, calibration), _likelihoods(lost, calibration))


def _oracle(each: Examples, kind: str) -> float:
    """Weights learned on the set itself, by 4-fold cross-validation: what the signals can give."""
    if len(each.absent[kind]) < FEWEST_ASKED:
        return float("nan")
    present, absent = as_matrix(each.present), as_matrix(each.absent[kind])
    found: list[float] = []
    for fold in range(4):
        inside, out = np.arange(len(present)) % 4 != fold, np.arange(len(absent)) % 4 != fold
        weights = fit_one(present[inside], absent[out])
        found.append(auroc(present[~inside] @ weights, absent[~out] @ weights))
    return float(np.mean(found))


def _abstained(signals: Sequence[SearchSignals], calibration: Calibration, rate: float) -> float:
    return float((_likelihoods(signals, calibration) < calibration.threshold(rate)).mean())


def _after_confirmation(each: Examples, calibration: Calibration, rate: float) -> float:
    """Confirm 100 questions of ten principals, try the others; the mean of 50 draws."""
    random = np.random.default_rng(SEED)
    found: list[float] = []
    for _ in range(DRAWS):
        order: list[int] = random.permutation(len(each.present)).tolist()
        known = [
            Answered(strength(each.present[place], calibration.constants), frozenset({str(n % 10)}))
            for n, place in enumerate(order[:CONFIRMED])
        ]
        unseen = [each.present[place] for place in order[CONFIRMED:]]
        threshold = calibration.threshold(rate, confirm(known, error_rate=rate))
        found.append(float((_likelihoods(unseen, calibration) < threshold).mean()))
    return float(np.mean(found))


def _calibration_error(each: Examples, calibration: Calibration) -> float:
    """Mean distance of likelihood from frequency over ten bins; the kinds of absence mixed."""
    present = _likelihoods(each.present, calibration)
    absent = np.concatenate([_likelihoods(each.absent[kind], calibration) for kind in KINDS])
    said = np.r_[present, absent]
    truth = np.r_[np.ones(len(present)), np.zeros(len(absent))]
    heavy = np.r_[np.full(len(present), 1 / len(present)), np.full(len(absent), 1 / len(absent))]
    return calibration_error(said, truth, heavy / 2)


def _hit_error(each: Examples, calibration: Calibration) -> float:
    """Take the same over the ten best hits of each question with an answer among them."""
    constant, for_evidence, for_lead = calibration.constants.hit
    said: list[FloatVector] = []
    for evidence, relevant in each.best_hits:
        if relevant.any():
            odds = constant + for_evidence * evidence + for_lead * (evidence - evidence.max())
            said.append(1 / (1 + np.exp(-odds)))
    truth = np.concatenate([r for _, r in each.best_hits if r.any()]).astype(np.float64)
    return calibration_error(np.concatenate(said), truth, np.full(len(truth), 1 / len(truth)))


def _likelihoods(signals: Sequence[SearchSignals], calibration: Calibration) -> NDArray[np.float64]:
    return np.array([calibration.likelihood(each) for each in signals])


def measure_cost() -> dict[str, float]:
    """Microseconds that one search of 200 candidates spends on its likelihoods."""
    random = np.random.default_rng(SEED)
    rows = (random.normal(size=(20_000, 384)) / 20).astype(np.float32)
    background, vector = Background.of(rows), rows[3]
    dense = np.sort(random.random(200).astype(np.float32))[::-1].copy()
    lexical = random.random(200).astype(np.float32)
    calibration = Calibration.shipped()
    laps: list[float] = []
    for _ in range(2_000):
        start = time.perf_counter()
        place = background.describe(vector)
        signals = SearchSignals.measure(dense, lexical, possible=5.0, background=place)
        calibration.likelihood(signals)
        calibration.threshold(0.1)
        calibration.hit_likelihoods(signals, dense[:10], lexical[:10], possible=5.0)
        laps.append(1e6 * (time.perf_counter() - start))
    return {"p50": float(np.median(laps)), "p99": float(np.quantile(laps, 0.99))}


# --- tables --------------------------------------------------------------------------------------


def print_tables(table: Mapping[str, Mapping[str, Any]]) -> None:
    print("\nAUROC; in brackets what weights learned on the set itself would reach")
    shown = (*KINDS, *APART)
    print_heads(["perfect judge of the top hit", *shown])
    for name, row in table.items():
        cells = [_auroc_cell(row, kind) for kind in shown]
        print_row(name, [f"{row['a perfect judge of the top hit']:.3f}", *cells])
    print("\nFalse abstentions in percent, stated " + " / ".join(f"{100 * r:g}" for r in RATES))
    kinds = ("registry", "confirmed", "shipped")
    heads = ("registry's scale", "100 confirmed", f"shipped, {HANDFUL} tools", "its AUROC")
    print_heads([*heads, "error of likelihoods: search / hits"])
    for name, row in table.items():
        cells = [_percent(row["false abstentions"][kind].values()) for kind in kinds]
        alone = f"{row['auroc of a handful']:.3f}"
        print_row(name, [*cells, alone, _percent(row["calibration error"].values())])
    print("\nRightly abstained in percent, threshold for 10 % false abstentions, registry's scale")
    print_heads(KINDS)
    for name, row in table.items():
        print_row(name, [f"{100 * v:.0f}" for v in row["abstained rightly at 0.1"].values()])


def _auroc_cell(row: Mapping[str, Any], kind: str) -> str:
    found: float = row["auroc"][kind]
    return "-" if np.isnan(found) else f"{found:.3f} ({row['oracle'][kind]:.3f})"


def _percent(values: Any) -> str:
    return " / ".join(f"{100 * value:.1f}" for value in values)


def average(rows: Sequence[Any]) -> Any:
    """Average figures of one shape."""
    if not isinstance(rows[0], dict):
        return float(np.nanmean(rows))
    keys: list[Any] = [*rows[0]]
    return {key: average([row[key] for row in rows]) for key in keys}


def read_foreign(data: Path) -> list[str]:
    rows = (data / "routing" / "guard_dev" / "queries.jsonl").read_text(encoding="utf-8")
    texts = [row["text"] for row in map(json.loads, rows.splitlines()) if row["label"] == "ood"]
    order: list[int] = np.random.default_rng(SEED).permutation(len(texts)).tolist()
    return [texts[place] for place in order[:ASKED_ELSEWHERE]]


def read_elsewhere(data: Path) -> list[tuple[str, str]]:
    folders = sorted(path for path in (data / "retrieval").iterdir() if path.is_dir())
    texts = [
        (folder.name, text)
        for folder in folders
        for text in list(read_queries(folder).values())[:60]
    ]
    order: list[int] = np.random.default_rng(SEED).permutation(len(texts)).tolist()
    return [texts[place] for place in order]


def without_nan(value: Any) -> Any:
    """Put null in place of NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {name: without_nan(one) for name, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [without_nan(one) for one in cast("Sequence[Any]", value)]
    return None if isinstance(value, float) and math.isnan(value) else value


def main() -> None:
    parser = _command.parser(__doc__, data=True)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--fit", action="store_true", help="print the constants to ship")
    what.add_argument("--steps", action="store_true", help="measure tasks of several steps")
    options = parser.parse_args()
    encoder = SentenceTransformerEncoder.open(CACHE / "encoders")
    vectors = VectorCache(encoder)
    foreign, elsewhere = read_foreign(options.data), read_elsewhere(options.data)
    sets: list[Examples] = []
    for each in read_sets(options.data / "retrieval"):
        print(f"{each.name}: {len(each.queries)} questions", flush=True)
        sets.append(gather(each, elsewhere, foreign, vectors, encoder))
    if options.fit:
        print(f"SHIPPED_CONSTANTS: Final = {fit_constants(sets)}")
        return
    held_out = {
        each.name: fit_constants([other for other in sets if other.family != each.family])
        for each in sets
    }
    if options.steps:
        table: dict[str, Any] = {}
        for each, examples in zip(read_sets(options.data / "retrieval"), sets, strict=True):
            own = Calibration.fit(*examples.probed, constants=held_out[each.name])
            strange = [text for name, text in elsewhere if not name.startswith(examples.family)]
            table[each.name] = measure_steps(
                each, own, vectors, encoder, elsewhere=strange, foreign=foreign
            )
            print(f"{each.name}: searched", flush=True)
        table["macro average"] = average([*table.values()])
        print_steps(table)
        _command.write(without_nan(table), options.json)
        return
    table = {each.name: measure_set(each, held_out[each.name]) for each in sets}
    table["macro average"] = average([*table.values()])
    result = {"sets": table, "cost_us": measure_cost()}
    print_tables(table)
    told = ", ".join(f"{name} {value:.0f} µs" for name, value in result["cost_us"].items())
    print(f"\nCost of a search's likelihoods: {told}")
    _command.write(without_nan(result), options.json)


if __name__ == "__main__":
    _command.run(main)
