"""The parts of the load bench that could make a false figure look right."""

from __future__ import annotations

import importlib.util
import json
import math
import random
import statistics
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import anyio
import httpx
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    """Load a part of the benchmarks, which are scripts and no package."""
    spec = importlib.util.spec_from_file_location(f"bench{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


histogram, pace, samples = load("_histogram"), load("_pace"), load("_samples")


# --- percentiles ---------------------------------------------------------------------------------


@pytest.mark.parametrize("percent", [1, 50, 90, 99, 99.9, 100])
def test_percentiles_are_those_of_the_sorted_values_within_a_thousandth(percent: float) -> None:
    draw = random.Random(3)
    values = [draw.lognormvariate(1, 2) for _ in range(20_000)]
    found = histogram.Histogram(values).percentile(percent)
    exact = sorted(values)[math.ceil(len(values) * percent / 100) - 1]
    assert found == pytest.approx(exact, rel=0.001, abs=0.002)


def test_each_value_is_kept_within_a_thousandth_and_never_below_it() -> None:
    for power in range(40):
        value = 1.5 * 2**power / 10
        top = histogram.Histogram([value, 1e12]).percentile(50)
        assert value <= top <= value * 1.001 + 0.001


def test_the_largest_value_is_exact_and_an_empty_histogram_is_zero() -> None:
    assert histogram.Histogram([1.0, 7777.77]).percentile(100) == 7777.77
    assert histogram.Histogram().percentile(99) == 0.0


def test_merged_histograms_are_as_one() -> None:
    first, second = histogram.Histogram([1, 2, 3]), histogram.Histogram([40, 50])
    first.merge(second)
    assert first.summary() == histogram.Histogram([1, 2, 3, 40, 50]).summary()
    assert len(first) == 5


# --- arrivals ------------------------------------------------------------------------------------


def test_arrivals_have_the_rate_and_are_the_same_for_a_seed() -> None:
    times = list(pace.arrivals(50, 200, seed=1))
    assert len(times) == pytest.approx(10_000, rel=0.03)
    assert times == sorted(times)
    assert times == list(pace.arrivals(50, 200, seed=1))
    gaps = [after - before for before, after in pairwise(times)]
    # Of a Poisson process: the deviation of the gaps is their mean.
    assert statistics.stdev(gaps) == pytest.approx(1 / 50, rel=0.05)


@pytest.mark.anyio
async def test_what_arrives_does_not_wait_for_what_arrived_before() -> None:
    started: list[int] = []
    all_started = anyio.Event()

    async def work(number: int, due: float) -> None:
        started.append(number)
        if len(started) == 3:
            all_started.set()
        # Not one of them ends before all have begun.
        with anyio.fail_after(30):
            await all_started.wait()

    await pace.play(iter([0.0, 0.001, 0.002]), work)
    assert started == [0, 1, 2]


@pytest.mark.anyio
async def test_latency_counts_from_when_it_was_due_however_late_it_began() -> None:
    now = iter([100.0, 109.0, 109.0])
    due: list[float] = []

    async def work(_: int, at: float) -> None:
        due.append(at)

    await pace.play(iter([1.0, 2.0]), work, clock=lambda: next(now))
    assert due == [101.0, 102.0]


# --- memory --------------------------------------------------------------------------------------


def test_growth_is_that_of_the_second_half_alone() -> None:
    warming = [(float(at), 100.0 + at) for at in range(50)]
    steady = [(float(at), 150.0) for at in range(50, 101)]
    assert samples.growth(warming + steady) == 0.0


def test_a_leak_in_the_second_half_is_seen() -> None:
    leaking = [(float(at), 100.0 + at) for at in range(101)]
    assert samples.growth(leaking) == pytest.approx(0.27, abs=0.03)


# --- what a client was answered ------------------------------------------------------------------

speaking = load("_speaking")


def answered(body: str, *, kind: str = "application/json", status: int = 200) -> str:
    response = httpx.Response(status, headers={"content-type": kind}, text=body)
    return speaking.read(response, 7).kind


def test_an_answer_is_read_for_what_it_is() -> None:
    def result(**parts: object) -> str:
        return json.dumps({"jsonrpc": "2.0", "id": 7, "result": {"content": [], **parts}})

    assert answered(result()) == "ok"
    assert answered(result(isError=True)) == "tool error"
    error = {"jsonrpc": "2.0", "id": 7, "error": {"code": -32602, "message": "no"}}
    assert answered(json.dumps(error), status=400) == "rpc -32602"
    assert answered("<html>", kind="text/html", status=502) == "http 502"


def test_an_answer_to_something_else_is_told_and_never_taken() -> None:
    other = json.dumps({"jsonrpc": "2.0", "id": 8, "result": {"content": []}})
    mine = json.dumps({"jsonrpc": "2.0", "id": 7, "result": {"content": []}})
    assert answered(other) == "wrong id"
    assert answered(f"data: {other}\n\n", kind="text/event-stream") == "wrong id"
    both = f": ping\n\ndata: {other}\n\nevent: message\ndata: {mine}\n\n"
    assert answered(both, kind="text/event-stream; charset=utf-8") == "ok"
