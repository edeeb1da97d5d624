from datetime import UTC, datetime, timedelta

from toolcrib_registry.types import EntryId
from toolcrib_server.learning.recent import RecentSearches

NOW = datetime(2026, 8, 1, tzinfo=UTC)
A, B = EntryId("tool:a"), EntryId("tool:b")


def searches() -> RecentSearches:
    return RecentSearches(window=timedelta(minutes=15))


def test_the_latest_answer_that_listed_the_entry_is_found() -> None:
    recent = searches()
    recent.note("p", "first", [A, B], at=NOW)
    recent.note("p", "second", [A], at=NOW + timedelta(minutes=1))
    later = NOW + timedelta(minutes=2)

    assert [shown.query for entry in (A, B) if (shown := recent.find("p", entry, at=later))] == [
        "second",
        "first",
    ]
    assert recent.find("q", A, at=later) is None
    assert recent.find("p", EntryId("tool:c"), at=later) is None


def test_an_old_answer_is_not_found() -> None:
    recent = searches()
    recent.note("p", "x", [A], at=NOW)
    assert recent.find("p", A, at=NOW + timedelta(minutes=15)) is not None
    assert recent.find("p", A, at=NOW + timedelta(minutes=16)) is None


def test_it_stays_small() -> None:
    recent = searches()
    recent.note("p", "first", [A], at=NOW)
    for number in range(20):
        recent.note("p", f"{number}", [B], at=NOW)
    assert recent.find("p", A, at=NOW) is None

    for number in range(2_000):
        recent.note(f"other-{number}", "x", [A], at=NOW)
    assert recent.find("p", B, at=NOW) is None
    assert recent.find("other-0", A, at=NOW) is not None


def test_what_is_forgotten_is_not_found() -> None:
    recent = searches()
    for principal in "pqr":
        recent.note(principal, "x", [A], at=NOW)
    recent.forget("p")
    assert [recent.find(principal, A, at=NOW) is None for principal in "pqr"] == [
        True,
        False,
        False,
    ]
    recent.forget()
    assert recent.find("q", A, at=NOW) is None
