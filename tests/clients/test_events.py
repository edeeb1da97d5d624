"""Lines of a stream become changes, and the place in it is remembered."""

import pytest

from toolcrib_clients.events import ChangeEvents
from toolcrib_registry.errors import ToolcribError

CHANGE = (
    '{"revision": 4, "at": "2026-11-21T08:00:00Z", "actor": "sync", "action": "added",'
    ' "subject": "model:m"}'
)


def test_an_event_ends_with_an_empty_line():
    events = ChangeEvents()
    lines = ["retry: 2000", ": 3", "", "id: 4", "event: change", f"data: {CHANGE}"]
    assert [events.read(line) for line in lines] == [None] * 6
    assert events.last_id is None
    change = events.read("")
    assert change is not None
    assert change.revision == 4
    assert events.last_id == "4"
    assert events.read("") is None


def test_a_problem_ends_it():
    events = ChangeEvents()
    events.read("event: problem")
    events.read("data: store-error")
    with pytest.raises(ToolcribError, match="store-error"):
        events.read("")


def test_what_is_no_change_is_said():
    events = ChangeEvents()
    for line in ("event: change", "data: {}"):
        events.read(line)
    with pytest.raises(ToolcribError, match="something else"):
        events.read("")
