"""What the suite prints and leaves is read as it is meant."""

import json
from pathlib import Path

from .suite import Outcome, Required, judge, read_outcomes, read_requirements

LISTING = """\
Required for 2026-07-28 (3 scenarios, frozen; run at the 2026-07-28 wire):

Server scenarios (test against a server):
  - server-stateless
  - caching

Client scenarios (test against a client):
  - auth/basic-cimd

Run and reported, but never scored:
  extension (2):
    - auth/dpop [client]
    - tasks-lifecycle [server]
  pending (1):
    - json-schema-2020-12 [server]
"""


def test_requirements_are_read_with_mode_and_the_reason_they_are_not_scored() -> None:
    assert list(read_requirements(LISTING)) == [
        Required("server-stateless", "server"),
        Required("caching", "server"),
        Required("auth/basic-cimd", "client"),
        Required("auth/dpop", "client", "extension"),
        Required("tasks-lifecycle", "server", "extension"),
        Required("json-schema-2020-12", "server", "pending"),
    ]


def test_checks_are_counted_as_the_suite_counts_them() -> None:
    checks = [
        {"id": "one", "status": "SUCCESS"},
        {"id": "two", "status": "FAILURE", "errorMessage": "Failed:\n  no answer"},
        {"id": "three", "status": "WARNING"},
        {"id": "four", "status": "SKIPPED"},
    ]
    assert judge(checks) == Outcome(passed=1, failed=1, faults=("two: Failed: no answer",))


def test_what_is_not_testable_for_want_of_a_fixture_counts_only_where_there_are_fixtures() -> None:
    missing = "Not testable: server does not list the diagnostic tool 'x' in tools/list"
    checks = [
        {"id": "one", "status": "SUCCESS"},
        {"id": "two", "status": "FAILURE", "errorMessage": missing},
        {"id": "three", "status": "FAILURE", "errorMessage": "Not testable: it hung up"},
    ]
    assert judge(checks).failed == 2
    assert judge(checks, has_fixtures=False).failed == 1


def test_nothing_checked_is_a_skip_and_no_pass() -> None:
    outcome = judge([{"id": "one", "status": "SKIPPED"}])
    assert outcome.is_skip
    assert not outcome.is_pass


def test_outcomes_are_found_under_the_names_of_their_scenarios(tmp_path: Path) -> None:
    stamp = "2026-11-21T10-25-41-433Z"
    for folder in (f"server-server-stateless-{stamp}", f"server-ping-{stamp}"):
        (tmp_path / folder).mkdir()
        checks = [{"id": "x", "status": "SUCCESS"}]
        (tmp_path / folder / "checks.json").write_text(json.dumps(checks))
    found = dict(read_outcomes(tmp_path, "server"))
    assert found == {"server-stateless": Outcome(1, 0), "ping": Outcome(1, 0)}


def test_a_scenario_of_a_group_keeps_its_group(tmp_path: Path) -> None:
    folder = tmp_path / "auth" / "basic-cimd-2026-11-21T10-25-41-433Z"
    folder.mkdir(parents=True)
    (folder / "checks.json").write_text("[]")
    assert list(dict(read_outcomes(tmp_path, "client"))) == ["auth/basic-cimd"]
