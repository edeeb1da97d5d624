"""Laws of likelihoods and of thresholds."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from toolcrib_embeddings.abstention.calibration import LEAST_PROBES, Basis, Calibration, strength
from toolcrib_embeddings.abstention.confirmation import Answered, confirm
from toolcrib_embeddings.abstention.signals import Background, Rarity, SearchSignals, joint_evidence

SIGNALS = st.builds(
    SearchSignals,
    evidence=st.floats(-1, 2),
    distinction=st.floats(-10, 30),
    agreement=st.floats(0, 1),
)
RATES = st.floats(0, 1)
CANDIDATES = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        arrays.arrays(np.float32, n, elements=st.floats(-1, 1, width=32)),
        arrays.arrays(np.float32, n, elements=st.floats(0, 50, width=32)),
    )
)
USUAL = (0.1, 0.08)


def signals_around(centre, count, seed=0):
    values = np.random.default_rng(seed).uniform(centre - 0.1, centre + 0.1, count)
    return [SearchSignals(float(v), 10 * float(v), 0.3) for v in values]


def vectors(count, dimension=16, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# --- signals -------------------------------------------------------------------------------------


@given(CANDIDATES, st.data())
def test_a_larger_cosine_never_makes_an_answer_less_likely(candidates, data):
    dense, lexical = candidates
    place = int(np.argmax(dense))
    raised = dense.copy()
    raised[place] = data.draw(st.floats(float(dense[place]), 1, width=32))
    before, after = (
        SearchSignals.measure(each, lexical, possible=20, background=USUAL)
        for each in (dense, raised)
    )
    calibration = Calibration.shipped()
    assert calibration.likelihood(after) >= calibration.likelihood(before)


@given(CANDIDATES, st.floats(0, 60))
def test_likelihoods_are_probabilities_and_no_hit_is_likelier_than_the_whole(candidates, possible):
    dense, lexical = candidates
    signals = SearchSignals.measure(dense, lexical, possible=possible, background=USUAL)
    calibration = Calibration.shipped()
    whole = calibration.likelihood(signals)
    each = calibration.hit_likelihoods(signals, dense, lexical, possible=possible)
    assert 0 < whole < 1
    assert each.shape == dense.shape
    assert ((each >= 0) & (each <= whole + 1e-6)).all()


@given(CANDIDATES)
def test_the_hit_with_more_evidence_is_at_least_as_likely(candidates):
    dense, lexical = candidates
    signals = SearchSignals.measure(dense, lexical, possible=20, background=USUAL)
    each = Calibration.shipped().hit_likelihoods(signals, dense, lexical, possible=20)
    order = np.argsort(joint_evidence(dense, lexical, possible=20), kind="stable")
    assert (np.diff(each[order]) >= -1e-6).all()


def test_no_candidate_is_less_likely_than_any_good_one():
    none = np.empty(0, dtype=np.float32)
    calibration = Calibration.shipped()
    signals = SearchSignals.measure(none, none, possible=0, background=USUAL)
    assert signals == SearchSignals()
    assert calibration.likelihood(signals) < calibration.threshold(0.05)
    assert calibration.hit_likelihoods(signals, none, none, possible=0).shape == (0,)


def test_a_number_that_is_not_finite_counts_as_nothing_found():
    broken = np.array([np.nan, 0.4, np.inf, -np.inf], dtype=np.float32)
    lexical = np.array([1, np.nan, 0, 2], dtype=np.float32)
    signals = SearchSignals.measure(broken, lexical, possible=5, background=USUAL)
    whole = Calibration.shipped().likelihood(signals)
    hits = Calibration.shipped().hit_likelihoods(signals, broken, lexical, possible=5)
    assert math.isfinite(whole)
    assert np.isfinite(hits).all()
    assert signals.evidence < 2
    mute = np.full(3, np.nan, dtype=np.float32)
    assert SearchSignals.measure(mute, mute, possible=5, background=USUAL).evidence == 0


def test_words_in_common_count_and_repeating_one_does_not_count_more_than_finding_all():
    dense = np.array([0.4, 0.3], dtype=np.float32)
    none, all_found = np.zeros(2, np.float32), np.array([9.0, 0.0], np.float32)
    without = SearchSignals.measure(dense, none, possible=3, background=USUAL)
    found = SearchSignals.measure(dense, all_found, possible=3, background=USUAL)
    assert without.evidence == pytest.approx(0.4)
    assert found.evidence == pytest.approx(0.9)
    assert without.agreement < found.agreement


def test_agreement_is_the_share_of_the_ten_best_that_both_name():
    dense = np.linspace(1, 0, 60, dtype=np.float32)
    lexical = np.roll(dense, 5)
    signals = SearchSignals.measure(dense, lexical, possible=9, background=USUAL)
    assert signals.agreement == pytest.approx(0.5)


def test_a_handful_of_candidates_agrees_by_chance_and_counts_for_little():
    dense = np.array([0.4, 0.3], dtype=np.float32)
    both = SearchSignals.measure(dense, dense, possible=9, background=USUAL)
    neither = SearchSignals.measure(dense, 0 * dense, possible=9, background=USUAL)
    assert 0.2 < neither.agreement < both.agreement < 0.3


# --- background and words ------------------------------------------------------------------------


def test_the_background_of_a_large_registry_is_told_from_a_sample():
    rows = vectors(5_000)
    query = vectors(1, seed=3)[0]
    mean, spread = Background.of(rows).describe(query)
    cosines = rows @ query
    assert len(Background.of(rows).rows) < 300
    assert mean == pytest.approx(float(cosines.mean()), abs=0.05)
    assert spread == pytest.approx(float(cosines.std()), abs=0.05)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_registry_of_almost_nothing_has_the_usual_background(count):
    mean, spread = Background.of(vectors(2)[:count]).describe(vectors(1)[0])
    assert mean == pytest.approx(0.1, abs=0.1)
    assert 0.05 < spread < 0.2


def test_a_rare_word_says_more_than_a_common_one_and_an_unknown_one_most():
    rarity = Rarity(np.array([0.3, 1.2, 2.3], dtype=np.float32), rows=4)
    common, rare = rarity.possible([0]), rarity.possible([1])
    assert common < rare < rarity.possible([None])
    assert rarity.possible([0, 1, 1]) == pytest.approx(common + 2 * rare)
    assert rarity.possible([]) == 0


# --- thresholds ----------------------------------------------------------------------------------


@given(SIGNALS, RATES, RATES)
def test_a_larger_error_rate_never_abstains_less(signals, one, other):
    low, high = sorted((one, other))
    calibration = Calibration.shipped()
    assert calibration.threshold(low) <= calibration.threshold(high)
    abstains_at_low = calibration.likelihood(signals) < calibration.threshold(low)
    abstains_at_high = calibration.likelihood(signals) < calibration.threshold(high)
    assert abstains_at_high or not abstains_at_low


def test_confirmed_questions_move_the_threshold_and_are_what_it_rests_on():
    calibration = Calibration.shipped()
    own = calibration.threshold(0.1)
    for each, is_higher in ((0.1, False), (0.9, True)):
        answered = [Answered(strength(s), frozenset({"p"})) for s in signals_around(each, 60)]
        confirmed = confirm(answered, error_rate=0.1)
        assert (calibration.threshold(0.1, confirmed) > own) is is_higher
        grounds = calibration.grounds(0.1, confirmed)
        assert (grounds.basis, str(grounds)) == (Basis.CONFIRMED, "confirmed questions, 60")
    assert str(calibration.grounds(0.1)) == "the shipped scale"


def test_questions_confirmed_for_another_error_rate_are_refused():
    answered = [Answered(1.0, frozenset({"p"}))] * 60
    with pytest.raises(ValueError, match=r"for 0\.1, not 0\.2"):
        Calibration.shipped().threshold(0.2, confirm(answered, error_rate=0.1))


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_an_error_rate_that_is_no_share_is_refused(rate):
    with pytest.raises(ValueError, match="between 0 and 1"):
        Calibration.shipped().threshold(rate)


# --- a registry's own scale ----------------------------------------------------------------------


def test_a_registry_whose_probes_score_higher_asks_for_more():
    low = Calibration.fit(signals_around(0.6, 40), signals_around(0.3, 40))
    high = Calibration.fit(signals_around(0.9, 40), signals_around(0.6, 40))
    signals = SearchSignals(0.7, 6, 0.3)
    assert low.basis is high.basis is Basis.REGISTRY
    assert low.likelihood(signals) > high.likelihood(signals)
    assert low.threshold(0.1) == pytest.approx(high.threshold(0.1))


def test_the_scale_lies_halfway_between_probes_with_and_without_their_tool():
    present, absent = signals_around(0.8, 50), signals_around(0.4, 50)
    level = Calibration.fit(present, absent).level
    assert max(map(strength, absent)) < level < min(map(strength, present))


def test_too_few_probes_leave_the_shipped_scale():
    few = signals_around(0.9, LEAST_PROBES - 1)
    assert Calibration.fit(few, few) == Calibration.shipped()
    assert Calibration.fit([], []) == Calibration.shipped()


@given(st.floats(-20, 20), SIGNALS, RATES)
def test_what_is_dumped_is_loaded(level, signals, rate):
    calibration = replace(Calibration.shipped(), level=level)
    loaded = Calibration.load(json.loads(json.dumps(calibration.dump())))
    assert loaded == calibration
    assert loaded.likelihood(signals) == calibration.likelihood(signals)
    assert loaded.threshold(rate) == calibration.threshold(rate)


@pytest.mark.parametrize(
    "wrong",
    [
        {"basis": "guess"},
        {"level": math.nan},
        {"level": "high"},
        {"level": None},
        {"weights": [1.0, 2.0, 3.0]},
    ],
)
def test_data_that_is_no_calibration_is_refused(wrong):
    sound = Calibration.shipped().dump()
    assert Calibration.load(sound) == Calibration.shipped()
    with pytest.raises(ValueError, match=r"calibration|convert|valid"):
        Calibration.load({**sound, **wrong})


@pytest.mark.parametrize("key", Calibration.shipped().dump())
def test_data_that_lacks_something_is_refused(key):
    data = Calibration.shipped().dump()
    del data[key]
    with pytest.raises(ValueError, match=key):
        Calibration.load(data)
