"""An evaluation as tables of text, for the terminal and the report alike. Shares are in percent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from .configurations import SHIPPED
from .measures import MAIN, MEASURES
from .results import Comparison, Difference, Evaluation, Latency, Score, SetResult
from .significance import CONFIDENCE, Estimate

MACRO: Final = "macro average"
HEADINGS: Final = {
    "ndcg@1": "NDCG@1",
    "ndcg@5": "NDCG@5",
    "ndcg@10": "NDCG@10",
    "recall@1": "R@1",
    "recall@5": "R@5",
    "recall@10": "R@10",
    "mrr": "MRR",
    "completeness@10": "C@10",
}
_BRIEF: Final = ("recall@5", "recall@10", "completeness@10")
_ABLATED: Final = (MAIN, "recall@5", "completeness@10")
_KIB: Final = 1024
_CERTAIN: Final = 1 - CONFIDENCE


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings, and what has to be known to read them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = field(default=())


def score_table(evaluation: Evaluation, *, brief: bool = False) -> Table:
    """List what each configuration scored on each set, and on average."""
    measures = _BRIEF if brief else tuple(name for name in MEASURES if name != MAIN)
    columns = (
        *("set", "configuration", HEADINGS[MAIN], "95 %"),
        *(HEADINGS[name] for name in measures),
        *("p50 ms", "p95 ms"),
    )
    rows = tuple(
        (name, configuration, *_main(score), *_means(score, measures), *_times(score.whole))
        for name, configuration, score in _scores(evaluation)
    )
    return Table("Quality and time", columns, rows)


def latency_table(evaluation: Evaluation) -> Table:
    """List how long each stage takes, over all queries."""
    columns = (
        *("configuration", "encode p50", "p95", "search p50", "p95", "whole p50", "p95"),
        *("timed", "reranked", "abstained"),
    )
    rows = tuple(
        (
            name,
            *_times(score.encode),
            *_times(score.search),
            *_times(score.whole),
            str(score.whole.queries),
            percent(score.reranked),
            percent(score.abstained),
        )
        for name, score in evaluation.macro.items()
    )
    return Table("Milliseconds by stage", columns, rows)


def set_table(evaluation: Evaluation) -> Table:
    """List what is in each set, and what its index takes."""
    columns = (
        "set",
        "tools",
        "queries",
        "relevant",
        "index",
        "RSS indexed",
        "RSS searched",
        "data",
    )
    rows = tuple(
        (
            each.name,
            f"{each.tools:,}",
            _asked(each),
            f"{each.relevant:.1f}",
            size(each.index_bytes),
            size(each.rss_indexed_bytes),
            size(each.rss_searched_bytes),
            each.data_hash,
        )
        for each in evaluation.sets
    )
    note = (
        f"The process took {size(evaluation.rss_start_bytes)} with the sets read, and "
        f"{size(evaluation.rss_encoder_bytes)} with the encoder open."
    )
    return Table("Sets and memory", columns, rows, (note,))


def comparison_tables(evaluation: Evaluation) -> Iterator[Table]:
    """List the differences: one table for an ablation, else one for each comparison."""
    pairs = evaluation.comparisons
    ablated = tuple(each for each in pairs if evaluation.ablation and each.baseline == SHIPPED)
    if ablated:
        yield _ablation_table(evaluation, ablated)
    yield from (_comparison_table(each) for each in pairs if each not in ablated)


def _ablation_table(evaluation: Evaluation, ablated: tuple[Comparison, ...]) -> Table:
    columns = (
        *("configuration", HEADINGS[MAIN], "difference", "95 %", "p", "verdict"),
        *(f"{HEADINGS[name]} diff." for name in _ABLATED[1:]),
        *("search p50 ms", "diff."),
    )
    shipped = evaluation.macro[SHIPPED]
    first = (
        *(SHIPPED, percent(shipped.measures[MAIN].mean), "", "", "", "", "", ""),
        *(f"{shipped.search.p50_ms:.2f}", ""),
    )
    rows: list[tuple[str, ...]] = [first]
    for each in ablated:
        score = evaluation.macro[each.other]
        main = each.macro[MAIN]
        rows.append(
            (
                each.other,
                percent(score.measures[MAIN].mean),
                *_difference(main),
                *(points(each.macro[name].mean) for name in _ABLATED[1:]),
                f"{score.search.p50_ms:.2f}",
                f"{score.search.p50_ms - shipped.search.p50_ms:+.2f}",
            )
        )
    note = (
        "A stage off, less the shipped configuration: below zero, the stage earns its place. "
        f"{_average(evaluation)}; p is corrected for the number of rows."
    )
    return Table("Ablation", columns, tuple(rows), (note,))


def _comparison_table(comparison: Comparison) -> Table:
    columns = ("set", "difference", "95 %", "p", "verdict")
    sets = [(name, *_difference(each[MAIN])) for name, each in comparison.sets.items()]
    if len(sets) > 1:
        sets.append((MACRO, *_difference(comparison.macro[MAIN])))
    title = f"{HEADINGS[MAIN]}: {comparison.other} less {comparison.baseline}"
    notes = ("In points. Paired over queries; p is corrected for the number of sets.",)
    return Table(title, columns, tuple(sets), notes)


def notices(result: SetResult) -> Iterator[str]:
    """Say what of a set was left out, or cannot be found, and why."""
    out = result.left_out
    if out.tools:
        yield f"{result.name}: {out.tools} rows of tools cannot be read and are left out."
        yield from out.problems
    if out.queries_without_judgement:
        yield (
            f"{result.name}: {out.queries_without_judgement} queries have no relevant tool and are "
            "left out."
        )
    if out.judgements_of_unknown_queries:
        yield (
            f"{result.name}: {out.judgements_of_unknown_queries} queries are judged and not in "
            "queries.jsonl."
        )
    if out.judgements_of_unknown_tools:
        yield (
            f"{result.name}: {out.judgements_of_unknown_tools} judgements name tools that are not "
            "in tools.jsonl; they count as not found."
        )


def percent(value: float) -> str:
    """Write a share as percent, without the sign."""
    return f"{100 * value:.1f}"


def points(value: float) -> str:
    """Write a difference of shares in points, with its sign."""
    return f"{100 * value:+.1f}"


def size(count: float) -> str:
    """Write a number of bytes for people."""
    mebibytes = count / _KIB**2
    return f"{mebibytes:,.1f} MiB" if mebibytes >= 1 else f"{count / _KIB:,.1f} KiB"


def _asked(result: SetResult) -> str:
    asked, more = len(result.queries), result.left_out.queries_beyond_limit
    return f"{asked:,} of {asked + more:,}" if more else f"{asked:,}"


def _scores(evaluation: Evaluation) -> Iterator[tuple[str, str, Score]]:
    for each in evaluation.sets:
        yield from ((each.name, name, score) for name, score in each.scores.items())
    if len(evaluation.sets) > 1:
        yield from ((MACRO, name, score) for name, score in evaluation.macro.items())


def _main(score: Score) -> tuple[str, str]:
    main = score.measures[MAIN]
    return percent(main.mean), _interval(main)


def _interval(e: Estimate) -> str:
    return f"{percent(e.low)} to {percent(e.high)}"


def _means(score: Score, measures: tuple[str, ...]) -> Iterator[str]:
    return (percent(score.measures[name].mean) for name in measures)


def _times(latency: Latency) -> tuple[str, str]:
    if not latency.queries:
        return "-", "-"
    return f"{latency.p50_ms:.2f}", f"{latency.p95_ms:.2f}"


def _difference(each: Difference) -> tuple[str, str, str, str]:
    between = f"{points(each.low)} to {points(each.high)}"
    return points(each.mean), between, f"{each.p_corrected:.4f}", _verdict(each)


def _verdict(each: Difference) -> str:
    if each.p_corrected >= _CERTAIN:
        return "not shown"
    return "better" if each.mean > 0 else "worse"


def _average(evaluation: Evaluation) -> str:
    count = len(evaluation.sets)
    return "Over one set" if count == 1 else f"Average over {count} sets of the same weight"
