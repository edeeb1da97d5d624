"""What a run found, as tables: every scenario against every way it was run, and the differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .suite import Outcome, Required

DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Table:
    """One revision in one mode: what was found in each column."""

    title: str
    about: str
    required: Sequence[Required]
    columns: Mapping[str, Mapping[str, Outcome]]
    """Of each way it was run: what was found, by scenario."""
    left_out: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """Of each way it was run: scenarios that have no meaning there, and why."""

    def cell(self, scenario: str, column: str) -> str:
        """Say in a word what was found."""
        if scenario in self.left_out.get(column, {}):
            return "n/a"
        outcome = self.columns[column].get(scenario)
        if outcome is None:
            return "did not run"
        if outcome.is_skip:
            return "skipped"
        return "pass" if outcome.is_pass else f"{outcome.failed} of {_checks(outcome)} fail"

    def passes(self, scenario: str, column: str) -> bool:
        """Whether it ran there and passed."""
        outcome = self.columns[column].get(scenario)
        return outcome is not None and outcome.is_pass

    def counts(self, scenario: str, column: str) -> bool:
        """Whether it has a meaning there."""
        return scenario not in self.left_out.get(column, {})

    def faults(self) -> Iterator[str]:
        """Name each scored scenario that fails, and with what; nothing is expected to fail."""
        for one in self.required:
            if one.unscored is None:
                yield from self._faults_of(one.scenario)

    def differences(self) -> Iterator[str]:
        """Name each scenario, scored or not, that is found otherwise than directly."""
        for one in self.required if DIRECT in self.columns else ():
            said = {column: self.cell(one.scenario, column) for column in self._counted(one)}
            if len(set(said.values())) > 1:
                others = ", ".join(f"{column}: {cell}" for column, cell in said.items())
                yield f"{one.scenario}: {others}"

    def score(self, column: str) -> str:
        """Say how many of the scored scenarios that count there pass."""
        scored = [
            one.scenario
            for one in self.required
            if one.unscored is None and self.counts(one.scenario, column)
        ]
        return f"{sum(self.passes(name, column) for name in scored)} of {len(scored)}"

    def _counted(self, one: Required) -> list[str]:
        return [column for column in self.columns if self.counts(one.scenario, column)]

    def _faults_of(self, scenario: str) -> Iterator[str]:
        for column, outcomes in self.columns.items():
            if self.counts(scenario, column) and not self.passes(scenario, column):
                found = outcomes.get(scenario)
                why = "; ".join(found.faults) if found and found.faults else "it did not run"
                yield f"{self.title}, {column}: {scenario}: {why}"


def _checks(outcome: Outcome) -> int:
    return outcome.passed + outcome.failed


def render(table: Table) -> Iterator[str]:
    """Write a table in Markdown, with what it leaves out and why."""
    yield f"## {table.title}\n"
    yield f"{table.about}\n"
    columns = list(table.columns)
    yield f"| scenario | {' | '.join(columns)} |"
    yield "|---|" + "---|" * len(columns)
    scores = [f"**{table.score(column)}**" for column in columns]
    yield f"| **scored, passing** | {' | '.join(scores)} |"
    for one in sorted(table.required, key=lambda one: one.unscored is not None):
        cells = [table.cell(one.scenario, column) for column in columns]
        note = f" ({one.unscored}, not scored)" if one.unscored else ""
        yield f"| `{one.scenario}`{note} | {' | '.join(cells)} |"
    yield from _render_left_out(table)
    yield ""


def _render_left_out(table: Table) -> Iterator[str]:
    for column, left_out in table.left_out.items():
        reasons: dict[str, list[str]] = {}
        for scenario, reason in left_out.items():
            reasons.setdefault(reason, []).append(scenario)
        for reason, scenarios in reasons.items():
            known = [name for name in scenarios if name in {o.scenario for o in table.required}]
            if known and len(known) < len(table.required):
                names = ", ".join(f"`{name}`" for name in known)
                yield f"\nNot counted under {column}, for {reason}: {names}."
