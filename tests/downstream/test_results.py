import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.downstream.envelope import LOG_LEVELS, is_loud_enough, strip
from toolcrib_server.downstream.places import find_place
from toolcrib_server.downstream.results import (
    complete,
    discovery,
    initialization,
    of_the_handshake,
)

VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
)
HINTS = st.fixed_dictionaries({}, optional={"ttlMs": VALUES, "cacheScope": VALUES, "x": VALUES})


@given(HINTS, st.sampled_from(["tools/list", "resources/read", "tools/call"]))
def test_what_is_completed_is_whole_and_nothing_else_is_touched(result, method):
    whole = complete(method, result)
    assert whole["resultType"] == "complete"
    assert whole.get("x") == result.get("x")
    if method != "tools/call":
        assert isinstance(whole["ttlMs"], int)
        assert whole["ttlMs"] >= 0
        assert whole["cacheScope"] in {"public", "private"}
    else:
        assert whole == {**result, "resultType": "complete"}
    assert complete(method, whole) == whole


def test_what_asks_for_input_bears_no_cache_hints():
    asked = {"resultType": "input_required", "requestState": "x"}
    assert complete("resources/read", asked) == asked


def test_what_an_old_client_cannot_know_is_taken_off_and_no_more():
    assert of_the_handshake({"resultType": "complete", "a": 1, "ttlMs": 3}) == {"a": 1, "ttlMs": 3}
    assert of_the_handshake({"resultType": "task", "a": 1}) == {"resultType": "task", "a": 1}
    assert of_the_handshake({"a": 1}) == {"a": 1}


def test_a_service_is_described_in_the_words_of_each_era():
    key = "io.modelcontextprotocol/serverInfo"
    info = {"name": "s", "version": "1", "icons": []}
    described = {"capabilities": {"tools": {}, "extensions": {"x/y": {}}}, "_meta": {"a": 1}}
    modern = discovery({**described, "serverInfo": info})
    assert modern["_meta"] == {"a": 1, key: info}
    assert modern["supportedVersions"] == ["2026-07-28"]
    for given_info in ({"serverInfo": info}, {"_meta": {"a": 1, key: info}}):
        old = initialization({**described, **given_info}, "2025-06-18")
        assert old == {
            "protocolVersion": "2025-06-18",
            "capabilities": described["capabilities"],
            "serverInfo": info,
            "_meta": {"a": 1},
        }
    assert initialization({}, "2025-06-18")["serverInfo"]["name"] == "toolcrib"


@given(st.sampled_from(LOG_LEVELS), st.sampled_from(LOG_LEVELS))
def test_a_message_is_loud_enough_at_its_level_and_above(said, wanted):
    loud = LOG_LEVELS.index(said) >= LOG_LEVELS.index(wanted)
    assert is_loud_enough({"level": said}, wanted) is loud
    assert not is_loud_enough({"level": said}, None)


def test_what_belongs_to_the_hop_is_stripped_and_the_original_kept():
    params = {"a": 1, "_meta": {"progressToken": 1, "vendor": 2}}
    assert strip(params) == {"a": 1, "_meta": {"vendor": 2}}
    assert params["_meta"] == {"progressToken": 1, "vendor": 2}
    assert strip({"_meta": {"progressToken": 1}}) == {}
    assert strip({"_meta": "odd"}) == {"_meta": "odd"}


@pytest.mark.parametrize(
    ("path", "kind", "name"),
    [
        ("/servers/time/mcp", "server", "time"),
        ("/servers/a b/mcp/", "server", "a b"),
        ("/mcp/v/small", "view", "small"),
    ],
)
def test_a_path_names_its_endpoint(path, kind, name):
    place = find_place(path)
    assert place is not None
    assert (place.kind, place.name) == (kind, name)


@pytest.mark.parametrize(
    "path",
    [
        "/servers//mcp",
        "/servers/a/b/mcp",
        "/servers/a",
        "/mcp/v/",
        "/mcp/x",
        "/v1/servers/a/mcp",
        "",
    ],
)
def test_other_paths_are_no_endpoints(path):
    assert find_place(path) is None
