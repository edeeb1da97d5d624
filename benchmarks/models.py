"""How long a choice among all public offers takes without the encoder, and that it breaks no limit.

    python benchmarks/models.py --data FOLDER [--json FILE]

Random limits are set on the offers of models.dev, a third of which have figures as if calls had
been measured: latency, errors and cost rank them, and bound them too. The choice is held against
every candidate looked at by itself; every exclusion must name what failed. How long it takes to put
new figures in the place of the old ones is timed apart. Target: p95 below 10 ms, no violation.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import _command
import numpy as np

from toolcrib_server.catalog.models import read_models
from toolcrib_server.selection.choices import Objective
from toolcrib_server.selection.columns import Columns, sieve
from toolcrib_server.selection.constraint import Ability, Constraints, limits_of, violations_of
from toolcrib_server.selection.forecast import ModelForecasts, Outlook
from toolcrib_server.selection.length import Length
from toolcrib_server.selection.measured import Figures, Lengths, Measurements, key_of
from toolcrib_server.selection.ranking import Prospect, choose_from

SEED = 7
SETS = 300
CHECKED = 60
K = 5
SHOWN = 20
EITHER = (True, False)
MEASURED = 1 / 3
RENEWALS = 50
AT = datetime(2026, 11, 21, tzinfo=UTC)


def draw(rng: random.Random) -> Constraints:
    """Draw limits: each with a chance of one in three."""

    def some(*values: Any) -> Any:
        return rng.choice(values) if rng.random() < 1 / 3 else None

    return Constraints(
        max_price_in_usd=some(0.0, 0.1, 0.5, 2.0, 10.0),
        max_price_out_usd=some(0.2, 1.0, 5.0, 30.0),
        max_cost_usd=some(0.0001, 0.001, 0.01),
        tokens_in=2_000,
        tokens_out=500,
        min_context_tokens=some(8_192, 32_000, 128_000, 1_000_000),
        min_output_tokens=some(2_000, 8_192, 64_000),
        modalities_in=some(frozenset({"text"}), frozenset({"image"})) or frozenset(),
        licenses=frozenset({"mit", "apache-2.0"}) if rng.random() < 0.05 else None,  # noqa: PLR2004
        open_weights=some(*EITHER),
        abilities=some(frozenset({Ability.TOOL_CALL}), frozenset({Ability.REASONING}))
        or frozenset(),
        without_providers=some(frozenset({"openrouter"})) or frozenset(),
        max_p95_first_token_ms=some(300.0, 1_000.0) if rng.random() < 1 / 3 else None,
        max_p95_latency_ms=some(1_000.0, 5_000.0, 20_000.0) if rng.random() < 1 / 3 else None,
        max_error_rate=some(0.0, 0.05, 0.5) if rng.random() < 1 / 3 else None,
    )


def measure_some(columns: Columns, *, version: int) -> Measurements:
    """Make figures of some offers, as calls might have measured them."""
    rng = random.Random(SEED + version)
    by_offer: dict[str, Figures] = {}
    lengths: dict[str, Lengths] = {}
    for candidate in columns.candidates:
        if rng.random() < MEASURED:
            name = candidate.model.name
            by_offer[key_of(name, candidate.offer)] = drawn_figures(rng)
            lengths[name] = Lengths(50, 50 * rng.uniform(20, 2_000))
    total = Lengths(50 * len(lengths), sum(one.tokens for one in lengths.values()))
    return Measurements(version, by_offer, lengths, total)


def drawn_figures(rng: random.Random) -> Figures:
    calls, failing = rng.randrange(1, 201), max(rng.gauss(0, 0.2), 0.0)
    first_ms = rng.lognormvariate(5.5, 1.0)
    return Figures(
        calls=calls,
        answered=calls,
        streamed=calls,
        error_rate=failing,
        failing=min(failing, 1.0) * calls / (calls + 5),
        surely_failing=min(failing, 1.0) * 0.8,
        first_token_ms_p50=first_ms,
        first_token_ms_p95=2 * first_ms,
        per_token_ms_p50=10.0,
        latency_ms_p95=2 * first_ms + 5_000 * rng.random(),
        base_ms=first_ms,
        slope_ms=rng.uniform(1, 40),
        tokens_in=0,
        tokens_out=0,
        tokens_out_mean=rng.uniform(20, 2_000),
        cost_usd=None,
        last_at=AT,
        last_error=None,
    )


def time_choices(columns: Columns, drawn: Sequence[Constraints]) -> Iterator[tuple[float, float]]:
    """Time each choice, by the clock and by the processor: only the first feels a busy machine."""
    relevance = np.random.default_rng(SEED).random(len(columns))
    outlook = Outlook(columns)
    for number, constraints in enumerate(drawn):
        objective = [*Objective][number % len(Objective)]
        began, worked = time.perf_counter(), time.thread_time()
        found = choose_from(
            columns,
            constraints,
            relevance=relevance,
            objective=objective,
            k=K,
            prospect=Prospect.of(outlook, Length.of("", constraints)),
        )
        # What an answer shows of what was excluded.
        shown = [str(exclusion) for exclusion in found.exclusions[:SHOWN]]
        assert len(shown) == min(SHOWN, len(found.exclusions))
        yield 1e3 * (time.perf_counter() - began), 1e3 * (time.thread_time() - worked)


def count_faults(columns: Columns, drawn: Sequence[Constraints]) -> tuple[int, int]:
    """Count choices that break a limit, and exclusions that name no reason or a wrong one."""
    broken = unexplained = 0
    for constraints in drawn:
        limits = limits_of(constraints)
        found = choose_from(columns, constraints)
        able = [c for choice in found.choices for c in (choice.candidate, *choice.alternatives)]
        broken += sum(bool(violations_of(candidate, limits)) for candidate in able)
        broken += len(able) + len(found.exclusions) != len(columns)
        unexplained += sum(
            exclusion.violations != violations_of(exclusion.candidate, limits)
            or not exclusion.violations
            for exclusion in found.exclusions
        )
    return broken, unexplained


def count_best_offers_outside(columns: Columns, drawn: Sequence[Constraints]) -> int:
    """Count models whose best offer, which speaks for them in routing, breaks a limit."""
    outlook, broken = Outlook(columns), 0
    for constraints in drawn:
        limits = limits_of(constraints)
        passed = sieve(columns, limits).passed
        forecast = outlook.at(Length.of("", constraints))
        rows = outlook.best_rows(passed, forecast).values()
        broken += sum(bool(violations_of(columns.at(row), limits)) for row in rows)
        told = ModelForecasts(columns, outlook, passed, length=Length.of("", constraints))
        broken += told.models != frozenset(columns.at(row).model.name for row in rows)
    return broken


def time_renewals(columns: Columns) -> list[float]:
    """Time how long new figures take to be in use, by the processor."""
    taken: list[float] = []
    for version in range(RENEWALS):
        measured = measure_some(columns, version=version)
        began = time.thread_time()
        Outlook(columns.with_measured(measured))
        taken.append(1e3 * (time.thread_time() - began))
    return taken


def measure(data: Path) -> dict[str, Any]:
    folder = data / "models"
    catalogue = read_models(folder / "provider_offers.jsonl", base=folder / "base_models.jsonl")
    stated = Columns.of_models(catalogue.models)
    renewals = time_renewals(stated)
    columns = stated.with_measured(measure_some(stated, version=1))
    rng = random.Random(SEED)
    drawn = [draw(rng) for _ in range(SETS)]
    list(time_choices(columns, drawn[:10]))
    times = list(time_choices(columns, drawn))
    broken, unexplained = count_faults(columns, drawn[:CHECKED])
    (p50, cpu50), (p95, cpu95) = np.percentile(times, [50, 95], axis=0)
    result = {
        "offers": len(columns),
        "measured_offers": len(columns.measured),
        "models": len(columns.model_names),
        "constraint_sets": SETS,
        "p50_ms": round(float(p50), 2),
        "p95_ms": round(float(p95), 2),
        "p50_cpu_ms": round(float(cpu50), 2),
        "p95_cpu_ms": round(float(cpu95), 2),
        "checked_one_by_one": CHECKED,
        "violations": broken,
        "violations_of_best_offers": count_best_offers_outside(columns, drawn[:CHECKED]),
        "unexplained_exclusions": unexplained,
        "renewal_p95_cpu_ms": round(float(np.percentile(renewals, 95)), 2),
    }
    for name, value in result.items():
        print(f"{name:26}{value:>8}")
    return result


def main() -> None:
    parser = _command.parser(__doc__, data=True)
    given = parser.parse_args()
    result = measure(given.data)
    _command.write(result, given.json)


if __name__ == "__main__":
    _command.run(main)
