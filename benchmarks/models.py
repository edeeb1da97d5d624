"""How long a choice among all public offers takes without the encoder, and that it breaks no limit.

    python benchmarks/models.py --data FOLDER [--json FILE]

Random limits are set on the offers of models.dev. The choice is held against every candidate looked
at by itself; every exclusion must name what failed. Target: p95 below 10 ms, no violation.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toolcrib_server.catalog.models import read_models
from toolcrib_server.selection.choices import Objective
from toolcrib_server.selection.columns import Columns
from toolcrib_server.selection.constraint import Ability, Constraints, limits_of, violations_of
from toolcrib_server.selection.ranking import choose_from

SEED = 7
SETS = 300
CHECKED = 60
K = 5
SHOWN = 20
EITHER = (True, False)


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
    )


def time_choices(columns: Columns, drawn: Sequence[Constraints]) -> Iterator[tuple[float, float]]:
    """Time each choice, by the clock and by the processor: only the first feels a busy machine."""
    relevance = np.random.default_rng(SEED).random(len(columns))
    for number, constraints in enumerate(drawn):
        objective = [*Objective][number % len(Objective)]
        began, worked = time.perf_counter(), time.thread_time()
        found = choose_from(columns, constraints, relevance=relevance, objective=objective, k=K)
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


def measure(data: Path) -> dict[str, Any]:
    folder = data / "models"
    catalogue = read_models(folder / "provider_offers.jsonl", base=folder / "base_models.jsonl")
    columns = Columns.of_models(catalogue.models)
    rng = random.Random(SEED)
    drawn = [draw(rng) for _ in range(SETS)]
    list(time_choices(columns, drawn[:10]))
    times = list(time_choices(columns, drawn))
    broken, unexplained = count_faults(columns, drawn[:CHECKED])
    (p50, cpu50), (p95, cpu95) = np.percentile(times, [50, 95], axis=0)
    result = {
        "offers": len(columns),
        "models": len(columns.model_names),
        "constraint_sets": SETS,
        "p50_ms": round(float(p50), 2),
        "p95_ms": round(float(p95), 2),
        "p50_cpu_ms": round(float(cpu50), 2),
        "p95_cpu_ms": round(float(cpu95), 2),
        "checked_one_by_one": CHECKED,
        "violations": broken,
        "unexplained_exclusions": unexplained,
    }
    for name, value in result.items():
        print(f"{name:24} {value}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    result = measure(given.data)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
