"""Judging routing: sets are read strictly, measures are right, and the page needs nothing else."""

import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.errors import InvalidInput
from toolcrib_server.evaluation.routing.evaluate import Plan, evaluate
from toolcrib_server.evaluation.routing.measures import (
    average_quality,
    by_share,
    calibrate,
    close_gap,
    hull,
    separate,
)
from toolcrib_server.evaluation.routing.policies import split_folds
from toolcrib_server.evaluation.routing.repeating import corrected_error
from toolcrib_server.evaluation.routing.report import write_routing
from toolcrib_server.evaluation.routing.results import RoutingEvaluation, render_results
from toolcrib_server.evaluation.routing.sets import GuardSet, RoutingSet, find_sets
from toolcrib_server.evaluation.routing.tables import all_tables

WORDS = {"law": "court judge contract appeal", "code": "python loop function compile"}


def write_set(folder: Path, *, count: int = 120) -> Path:
    """Write a set in which one model knows law, the other code, and a third is cheap."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(1)
    queries: list[str] = []
    outcomes = ["query_id,model_id,score,cost,latency_ms"]
    for number in range(count):
        group = ("law", "code")[number % 2]
        words = random.choice(WORDS[group].split(), 6)
        row = {"id": f"q{number}", "text": f"{' '.join(words)} {number}", "group": group}
        queries.append(json.dumps(row))
        for model, good in (("lawyer", "law"), ("coder", "code"), ("cheap", "")):
            score = int(random.random() < (0.9 if good == group else 0.3))
            outcomes.append(f"q{number},{model},{score},,")
    models = [
        {"id": name, "price_in_per_1m": price, "price_out_per_1m": price}
        for name, price in (("lawyer", 5.0), ("coder", 4.0), ("cheap", 0.1))
    ]
    (folder / "queries.jsonl").write_text("\n".join(queries))
    (folder / "models.jsonl").write_text("\n".join(map(json.dumps, models)))
    (folder / "outcomes.csv").write_text("\n".join(outcomes) + "\n")
    return folder


def write_guard(folder: Path) -> Path:
    folder.mkdir(parents=True)
    rows: list[str] = []
    for number in range(80):
        for label, words in WORDS.items():
            split = "train" if number < 40 else "dev"
            row = {"text": f"{words} {number}", "label": label, "split": split, "id": label}
            rows.append(json.dumps(row))
        row = {"text": f"weather sea birds moon {number}", "label": "ood", "split": "dev"}
        rows.append(json.dumps(row))
    (folder / "queries.jsonl").write_text("\n".join(rows))
    return folder


@contextmanager
def quietly(label: str):
    yield lambda done, total: None


def run(*paths: Path, **plan) -> RoutingEvaluation:
    return evaluate(
        Plan(paths=paths, **plan),
        HashEncoder,
        cache=None,
        show_progress=quietly,
        command="toolcrib eval routing",
        version="0",
    )


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory) -> RoutingEvaluation:
    place = tmp_path_factory.mktemp("sets")
    write_set(place / "small")
    write_guard(place / "guarded")
    return run(place, hold_out=0.4)


def test_a_folder_of_sets_is_read_and_told_apart(tmp_path):
    write_set(tmp_path / "a")
    write_guard(tmp_path / "b")
    one, other = find_sets([tmp_path])
    assert isinstance(one, RoutingSet)
    assert isinstance(other, GuardSet)
    assert (len(one.queries), one.models) == (120, ("lawyer", "coder", "cheap"))
    assert not one.has_costs
    assert (one.costs_usd[:, 0] > one.costs_usd[:, 2]).all()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("q0,lawyer,1.5,,", "from 0 to 1"),
        ("q0,lawyer,x,,", "score is 'x'"),
        ("q0,lawyer,1,-2,", "cost is '-2'"),
        ("nobody,lawyer,1,,", "'nobody' is in neither"),
        ("q0,nobody,1,,", "'nobody' is in neither"),
    ],
)
def test_a_wrong_outcome_is_refused_with_its_line(tmp_path, row, said):
    folder = write_set(tmp_path / "a")
    with (folder / "outcomes.csv").open("a") as file:
        file.write(row + "\n")
    with pytest.raises(InvalidInput, match=said) as caught:
        find_sets([folder])
    assert "line 362" in str(caught.value)


def test_what_is_no_set_is_refused_with_what_one_is(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InvalidInput, match=r"queries\.jsonl"):
            find_sets([path])
    (tmp_path / "queries.jsonl").write_text('{"id": "q", "text": "t"}')
    with pytest.raises(InvalidInput, match="neither a routing set nor a guard set"):
        find_sets([tmp_path])


def test_folds_judge_each_row_once_and_learn_from_no_judged_row():
    parts = split_folds(53, folds=5, hold_out=None, learn=None, seed=1)
    assert sorted(np.concatenate([judged for _, judged in parts]).tolist()) == list(range(53))
    assert all(not set(learned) & set(judged) for learned, judged in parts)
    ((learned, judged),) = split_folds(50, folds=5, hold_out=0.3, learn=10, seed=1)
    assert (len(learned), len(judged)) == (10, 15)


def test_a_hull_keeps_what_mixing_cannot_beat():
    curve = hull(np.array([1.0, 2.0, 3.0, 2.5]), np.array([0.2, 0.3, 0.8, 0.1]))
    assert (curve.x, curve.y) == ((1.0, 3.0), (0.2, 0.8))
    assert average_quality(curve, low=1, high=3) == pytest.approx(0.5)


def test_the_gap_closes_at_once_for_who_knows_and_evenly_by_chance():
    random = np.random.default_rng(0)
    weak = (random.random(4000) < 0.4).astype(float)
    strong = (random.random(4000) < 0.7).astype(float)
    knows = close_gap(strong - weak, weak, strong)
    chance = close_gap(random.random(4000), weak, strong)
    assert knows is not None
    assert chance is not None
    assert knows.apgr > 1
    assert chance.apgr == pytest.approx(0.5, abs=0.05)
    assert (knows.cpt50 or 1) < 0.3 < (chance.cpt80 or 0)
    assert close_gap(strong, strong, weak) is None


def test_separation_counts_ties_as_half():
    assert separate(np.array([1.0, 2.0]), np.array([0.0])) == 1.0
    assert separate(np.array([1.0]), np.array([1.0])) == 0.5


def test_expecting_exactly_what_comes_is_perfectly_calibrated():
    actual = np.repeat([[0.0], [1.0]], 50, axis=0)
    found = calibrate(actual, actual, np.array([0.5]), covered=None)
    assert (found.ece, found.brier, found.base_brier) == (0, 0, 0.25)


def test_routing_only_the_surest_begins_at_the_default():
    curve = by_share(np.array([2.0, 1.0]), np.array([1.0, 0.0]), np.array([0.0, 0.0]))
    assert (curve.y[0], max(curve.y), curve.y[-1]) == (0.0, 0.5, 0.5)


def test_routing_beats_one_model_and_breaks_no_limit(evaluation):
    (result,) = evaluation.sets
    by_name = {policy.name: policy for policy in result.policies}
    assert by_name["toolcrib"].score > by_name["best single"].score + 0.1
    assert by_name["oracle"].score >= by_name["toolcrib"].score
    assert by_name["oracle"].aiq >= by_name["toolcrib"].aiq > by_name["cheapest"].aiq
    assert (result.violations, result.checks) == (0, 48)
    assert (result.judged, result.learned) == (48, 72)


def test_the_guard_is_judged_after_calibration(evaluation):
    (guard,) = evaluation.guards
    assert guard.domains == ("law", "code")
    assert guard.auroc > 0.95
    assert guard.score > 0.8
    assert guard.domain_accuracy == 1.0


def test_two_models_are_judged_by_the_gap_between_them(tmp_path):
    folder = write_set(tmp_path / "pair")
    lines = (folder / "outcomes.csv").read_text().splitlines()
    models = (folder / "models.jsonl").read_text().splitlines()
    (folder / "outcomes.csv").write_text("\n".join(x for x in lines if ",coder," not in x) + "\n")
    (folder / "models.jsonl").write_text("\n".join(models[::2]))
    (result,) = run(folder, folds=2).sets
    gaps = {policy.name: policy.gap.apgr for policy in result.policies if policy.gap is not None}
    assert result.judged == 120
    assert gaps["oracle"] > gaps["toolcrib"] > gaps["random"]


def test_tables_and_json_say_the_same(evaluation):
    titles = [table.title for table in all_tables(evaluation)]
    assert titles == ["small: policies", "Calibration, limits and time", "Guard"]
    rendered = json.loads(json.dumps(render_results(evaluation)))
    assert rendered["format"] == "toolcrib-routing-evaluation/1"
    assert rendered["sets"][0]["policies"][0]["name"] == "toolcrib"
    assert rendered["guards"][0]["calibrating"] == 30


def test_the_report_needs_nothing_but_itself(evaluation, tmp_path):
    written = write_routing(tmp_path / "out", evaluation)
    names = {path.name for path in written}
    pictures = {"small-cost.png", "small-calibration.png", "small-abstention.png"}
    assert {"report.html", "results.json", "guarded-guard.png", *pictures} <= names
    page = (tmp_path / "out" / "report.html").read_text()
    assert "http" not in page
    assert page.count("data:image/png;base64,") == 2 * 4
    assert "best single" in page


@pytest.mark.parametrize(
    ("plan", "said"),
    [({"folds": 1}, "folds"), ({"hold_out": 1.0}, "held out"), ({"learn": 3}, "too few")],
)
def test_a_plan_that_makes_no_sense_is_refused(tmp_path, plan, said):
    with pytest.raises(InvalidInput, match=said):
        run(tmp_path, **plan)


def test_queries_without_a_score_of_every_model_cannot_be_compared(tmp_path):
    folder = write_set(tmp_path / "gaps")
    lines = (folder / "outcomes.csv").read_text().splitlines()
    kept = [line for line in lines if ",cheap," not in line]
    (folder / "outcomes.csv").write_text("\n".join(kept) + "\n")
    with pytest.raises(InvalidInput, match="scored by every model"):
        run(folder)


def test_repeated_splits_give_one_mean_with_an_error_over_splits(tmp_path):
    folder = write_set(tmp_path / "small")
    (once,) = run(folder, hold_out=0.4, seed=3).sets
    (thrice,) = run(folder, hold_out=0.4, seed=3, repeats=3).sets
    singles = [run(folder, hold_out=0.4, seed=3 + n).sets[0].policies[0].score for n in range(3)]
    ours = thrice.policies[0]
    assert ours.score == pytest.approx(np.mean(singles))
    assert ours.error == pytest.approx(np.std(singles, ddof=1) * np.sqrt(1 / 3 + 48 / 72))
    assert (thrice.repeats, thrice.judged) == (3, 3 * once.judged)
    assert thrice.calibration.covered is None or 0 <= thrice.calibration.covered <= 1


def test_the_error_of_splits_allows_for_what_they_share():
    values = [0.5, 0.7]
    apart = float(np.std(values, ddof=1) / np.sqrt(2))
    assert corrected_error(values, judged=0, learned=10) == pytest.approx(apart)
    assert corrected_error(values, judged=3, learned=7) > apart
    assert corrected_error([0.5], judged=3, learned=7) == 0


def test_repeats_out_of_range_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="0 repeats"):
        run(write_set(tmp_path / "a"), repeats=0)


def test_a_repeated_pair_has_an_error_of_its_gap(tmp_path):
    folder = write_set(tmp_path / "pair")
    lines = (folder / "outcomes.csv").read_text().splitlines()
    models = (folder / "models.jsonl").read_text().splitlines()
    (folder / "outcomes.csv").write_text("\n".join(x for x in lines if ",coder," not in x) + "\n")
    (folder / "models.jsonl").write_text("\n".join(models[::2]))
    evaluation = run(folder, folds=2, repeats=2)
    ours = evaluation.sets[0].policies[0]
    assert ours.apgr_error is not None
    assert ours.apgr_error > 0
    said = [note for table in all_tables(evaluation) for note in table.notes]
    assert any("2 times" in note for note in said)
    assert any("splits share" in note for note in said)
