"""An evaluation of routing as tables of text. Scores are shares; times are milliseconds."""

from __future__ import annotations

from collections.abc import Iterator

from toolcrib_server.evaluation.tables import Table

from .results import GuardResult, PolicyResult, RoutingEvaluation, RoutingResult


def policy_table(result: RoutingResult) -> Table:
    """List every policy of a set, ours first."""
    columns = ["policy", "score", "±", "vs best single", "±", "cost USD", "AIQ"]
    pair = any(policy.gap for policy in result.policies)
    columns += ["APGR", "±", "CPT 50%", "CPT 80%"] if pair else []
    rows = tuple(tuple(_policy(policy, pair=pair)) for policy in result.policies)
    times = f"{result.repeats} times, " if result.repeats > 1 else ""
    notes = [
        (
            f"{result.judged // result.repeats:,} queries judged, {times}{len(result.models)} "
            f"models, learned from {result.learned:,}. ± is one standard error."
        )
    ]
    if result.repeats > 1:
        notes.append("Errors are over splits, corrected for the queries that splits share.")
    if not result.has_costs:
        notes.append("No cost was measured: it is estimated from prices.")
    return Table(f"{result.name}: policies", tuple(columns), rows, tuple(notes))


def quality_table(evaluation: RoutingEvaluation) -> Table:
    """List whether what was expected came true, and what a decision takes."""
    columns = (
        *("set", "ECE", "Brier", "Brier of means", "90% intervals hold", "routed"),
        *("violations", "decision p50 ms", "p95 ms", "learning s"),
    )
    rows = tuple(
        (
            each.name,
            f"{each.calibration.ece:.3f}",
            f"{each.calibration.brier:.3f}",
            f"{each.calibration.base_brier:.3f}",
            _share(each.calibration.covered),
            _share(each.routed_share),
            f"{each.violations} of {each.checks}",
            f"{each.decision_p50_ms:.2f}",
            f"{each.decision_p95_ms:.2f}",
            f"{each.learn_s:.1f}",
        )
        for each in evaluation.sets
    )
    note = "Decision: without the encoder. Routed: where the default, the best single, gave way."
    return Table("Calibration, limits and time", columns, rows, (note,))


def guard_table(guards: tuple[GuardResult, ...]) -> Table:
    """List how well domains are told from the rest."""
    columns = (
        *("set", "examples", "in", "out", "AUROC", "cosine alone", "score", "±"),
        *("in-domain right", "out refused", "domain right"),
    )
    rows = tuple(
        (
            each.name,
            f"{each.examples:,}",
            f"{each.inside:,}",
            f"{each.outside:,}",
            f"{each.auroc:.3f}",
            f"{each.auroc_cosine:.3f}",
            f"{each.score:.3f}",
            f"{each.score_spread:.3f}",
            f"{each.inside_accuracy:.3f}",
            f"{each.outside_accuracy:.3f}",
            f"{each.domain_accuracy:.3f}",
        )
        for each in guards
    )
    calibrating, draws = guards[0].calibrating, guards[0].draws
    note = (
        f"Score: harmonic mean of the two accuracies, after {calibrating} calibrating queries; "
        f"mean and spread of {draws} draws of them."
    )
    return Table("Guard", columns, rows, (note,))


def all_tables(evaluation: RoutingEvaluation) -> Iterator[Table]:
    """Give every table, in the order of reading."""
    yield from (policy_table(each) for each in evaluation.sets)
    if evaluation.sets:
        yield quality_table(evaluation)
    if evaluation.guards:
        yield guard_table(evaluation.guards)


def _policy(policy: PolicyResult, *, pair: bool) -> Iterator[str]:
    yield policy.name
    yield f"{policy.score:.4f}"
    yield f"{policy.error:.4f}"
    yield f"{policy.difference:+.4f}"
    yield f"{policy.difference_error:.4f}"
    yield "-" if policy.cost_usd is None else f"{policy.cost_usd:.6f}"
    yield "-" if policy.aiq is None else f"{policy.aiq:.4f}"
    if pair:
        gap = policy.gap
        yield f"{gap.apgr:.3f}" if gap else "-"
        yield "-" if policy.apgr_error is None else f"{policy.apgr_error:.3f}"
        yield _share(gap.cpt50 if gap else None)
        yield _share(gap.cpt80 if gap else None)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f}%"
