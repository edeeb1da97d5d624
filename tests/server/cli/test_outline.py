"""A JSON value as an outline for people."""

from toolcrib_server.cli.outline import outline


def lines(value: dict[str, object]) -> list[str]:
    return list(outline(value))


def test_each_value_has_a_line_and_deeper_ones_are_further_in() -> None:
    found = lines({"name": "time", "transport": {"type": "stdio", "args": ["-m", "x"]}})
    assert found == ["name: time", "transport:", "  type: stdio", "  args: -m, x"]


def test_what_is_empty_is_left_out_but_no_and_zero_are_told() -> None:
    found = lines({"a": None, "b": "", "c": [], "d": {}, "on": False, "entries": 0})
    assert found == ["on: no", "entries: 0"]


def test_items_that_are_objects_begin_with_a_dash() -> None:
    found = lines({"offers": [{"provider": "acme", "price": 0.1}, {"provider": "bolt"}]})
    assert found == ["offers:", "  - provider: acme", "    price: 0.1", "  - provider: bolt"]


def test_items_that_hold_commas_or_line_ends_are_not_run_together() -> None:
    found = lines({"stderr": ["one, two", "three\nfour"]})
    assert found == ["stderr:", "  - one, two", "  - three", "    four"]


def test_a_text_of_several_lines_stands_below_its_name() -> None:
    assert lines({"description": "One.\nTwo."}) == ["description:", "  One.", "  Two."]


def test_schemas_stay_json() -> None:
    found = lines({"inputSchema": {"type": "object"}})
    assert "\n".join(found) == 'inputSchema: {\n  "type": "object"\n}'
