from __future__ import annotations

import pytest

from toolcrib_registry.store.names import near

NAMES = [
    "exa__web_search_exa",
    "fetch__fetch",
    "git__git_status",
    "time__convert_time",
    "time__get_current_time",
    "_acme_chuk__get_weather-0a1b2c3d",
    "openai/gpt-4o",
    "line\nbreak",
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("time__convert_tiem", "time__convert_time"),
        ("convert_time", "time__convert_time"),
        ("Convert-Time", "time__convert_time"),
        ("time.convert_time", "time__convert_time"),
        ("TIME/convert_time", "time__convert_time"),
        ("time-convert-time", "time__convert_time"),
        ("time:get current time", "time__get_current_time"),
        ("git_status", "git__git_status"),
        ("get_weather", "_acme_chuk__get_weather-0a1b2c3d"),
        ("fetch", "fetch__fetch"),
        ("gpt-4o", "openai/gpt-4o"),
        ("gtp-4o", "openai/gpt-4o"),
        ("line break", "line\nbreak"),
    ],
)
def test_the_name_that_was_meant_comes_first(wanted: str, found: str) -> None:
    assert near(wanted, NAMES, limit=5)[0] == found


@pytest.mark.parametrize("wanted", ["", "__", "zzzzzz", "a very long question about nothing here"])
def test_nothing_is_offered_when_nothing_is_near(wanted: str) -> None:
    assert near(wanted, NAMES, limit=5) == ()


def test_an_exact_own_part_is_found_among_thousands_that_share_all_its_fragments() -> None:
    crowd = [f"s{number}__search_things_{number}" for number in range(3_000)]
    names = sorted([*crowd, "zebra__search", "_zoo__search-01234567"])

    assert near("search", names, limit=2) == ("_zoo__search-01234567", "zebra__search")


def test_no_more_are_offered_than_asked_for() -> None:
    names = [f"server{number}__now" for number in range(20)]

    assert len(near("now", names, limit=3)) == 3
    assert near("now", [], limit=3) == ()
