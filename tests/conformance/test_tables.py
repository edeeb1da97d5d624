"""A difference that is not seen, or a failure that is not counted, would make the table a lie."""

import pytest

from .suite import Outcome, Required
from .tables import DIRECT, Table, render

GOOD = Outcome(passed=2, failed=0)
BAD = Outcome(passed=1, failed=1, faults=("ping: Failed: no answer",))
PING = Required("ping", "server")
TASKS = Required("tasks", "server", "extension")


def table(direct: dict[str, Outcome], through: dict[str, Outcome], **left_out: str) -> Table:
    return Table(
        title="Servers",
        about="About.",
        required=(PING, TASKS),
        columns={DIRECT: direct, "http": through},
        left_out={"http": left_out},
    )


def test_what_passes_everywhere_has_no_fault_and_no_difference() -> None:
    both = {"ping": GOOD, "tasks": GOOD}
    assert not list(table(both, both).faults())
    assert not list(table(both, both).differences())


def test_a_scored_scenario_that_fails_through_is_a_fault_and_a_difference() -> None:
    found = table({"ping": GOOD, "tasks": GOOD}, {"ping": BAD, "tasks": GOOD})
    assert list(found.faults()) == ["Servers, http: ping: ping: Failed: no answer"]
    assert list(found.differences()) == ["ping: direct: pass, http: 1 of 2 fail"]


def test_one_that_is_not_scored_is_only_a_difference() -> None:
    found = table({"ping": GOOD, "tasks": GOOD}, {"ping": GOOD, "tasks": BAD})
    assert not list(found.faults())
    assert list(found.differences()) == ["tasks: direct: pass, http: 1 of 2 fail"]


@pytest.mark.parametrize("found", [{}, {"ping": Outcome(passed=0, failed=0)}])
def test_one_that_did_not_run_or_checked_nothing_is_a_fault(found: dict[str, Outcome]) -> None:
    (fault,) = table({"ping": GOOD}, found).faults()
    assert fault == "Servers, http: ping: it did not run"


def test_one_that_fails_directly_is_a_fault_of_the_setup() -> None:
    both = {"ping": BAD}
    assert len(list(table(both, both).faults())) == 2
    assert not list(table(both, both).differences())


def test_what_is_left_out_is_neither_counted_nor_compared_but_its_reason_is_told() -> None:
    found = table({"ping": GOOD, "tasks": GOOD}, {"tasks": GOOD}, ping="a reason")
    assert not list(found.faults())
    assert not list(found.differences())
    assert found.score("http") == "0 of 0"
    assert "Not counted under http, for a reason: `ping`." in "\n".join(render(found))


def test_the_page_shows_scores_and_what_is_not_scored_last() -> None:
    lines = list(render(table({"ping": GOOD, "tasks": BAD}, {"ping": GOOD, "tasks": BAD})))
    assert "| **scored, passing** | **1 of 1** | **1 of 1** |" in lines
    rows = [line for line in lines if line.startswith("| `")]
    assert rows == [
        "| `ping` | pass | pass |",
        "| `tasks` (extension, not scored) | 1 of 2 fail | 1 of 2 fail |",
    ]
