"""What a failed call shows: the tool is gone, wants other arguments, or has just failed."""

import pytest

from toolcrib_registry.errors import UpstreamProtocolError
from toolcrib_registry.types import ServerName, Tool
from toolcrib_server.invocation.drift.signs import (
    Drift,
    Notices,
    describe_drift,
    find_drift_in_error,
    find_drift_in_result,
)

TOOL = Tool(
    name="clock__now",
    server=ServerName("clock"),
    local_name="now",
    definition={
        "name": "now",
        "inputSchema": {
            "type": "object",
            "properties": {"zone": {"type": "string"}, "form": {"type": "string"}},
            "required": ["zone"],
        },
    },
)


def result(text: str, *, is_error: bool = True) -> dict[str, object]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


def error(code: int | None, text: str) -> UpstreamProtocolError:
    return UpstreamProtocolError("clock", text, rpc_code=code)


PYDANTIC = "1 validation error for nowArguments\n{}\n  {} [type=x, input_value={{}}]\n    For more"


@pytest.mark.parametrize(
    ("text", "drift"),
    [
        ("Unknown tool: now", Drift.GONE),
        ("Unknown tool: 'now'", Drift.GONE),
        ("MCP error -32602: Tool now not found", Drift.GONE),
        ("tool 'now' does not exist", Drift.GONE),
        ("Unknown tool: nowhere", None),
        ("Unknown tool: other", None),
        ("The tool you bought now is not found in the shop", None),
        ("File now.txt not found", None),
        ("'calendar' is a required property", Drift.CHANGED),
        ("'zone' is a required property", None),
        (PYDANTIC.format("calendar", "Field required"), Drift.CHANGED),
        (PYDANTIC.format("zone", "Field required"), None),
        (PYDANTIC.format("zone", "Unexpected keyword argument"), Drift.CHANGED),
        (PYDANTIC.format("bogus", "Unexpected keyword argument"), None),
        ("Additional properties are not allowed ('zone' was unexpected)", Drift.CHANGED),
        ("Additional properties are not allowed ('bogus' was unexpected)", None),
        ("Missing required argument: calendar", Drift.CHANGED),
        ("Unrecognized key(s) in object: 'form'", Drift.CHANGED),
        ('[{"received": "undefined", "path": ["calendar"], "message": "Required"}]', Drift.CHANGED),
        ("the zone must be one of Europe/Berlin", None),
        ("", None),
    ],
)
def test_what_a_server_says_is_held_against_the_registry(text: str, drift: Drift | None) -> None:
    assert find_drift_in_result(TOOL, result(text)) is drift
    assert find_drift_in_error(TOOL, error(-32602, text)) is drift


def test_a_result_that_is_no_error_shows_nothing() -> None:
    assert find_drift_in_result(TOOL, result("Unknown tool: now", is_error=False)) is None
    assert find_drift_in_result(TOOL, {"content": [], "isError": True}) is None
    assert find_drift_in_result(TOOL, {"isError": True}) is None


@pytest.mark.parametrize(
    ("code", "drift"),
    [(-32601, Drift.GONE), (-32020, Drift.CHANGED), (-32000, None), (None, None)],
)
def test_some_codes_speak_for_themselves(code: int | None, drift: Drift | None) -> None:
    assert find_drift_in_error(TOOL, error(code, "whatever")) is drift


def test_a_hostile_text_is_judged_in_no_time() -> None:
    text = "tool now " * 1000 + "'" * 2000 + "\n  " * 500
    assert find_drift_in_result(TOOL, result(text)) is None


def test_the_error_says_that_the_catalogue_is_being_brought_up_to_date() -> None:
    told = describe_drift(error(-32602, "Unknown tool: now"), Drift.GONE)
    assert told.rpc_code == -32602
    assert "Unknown tool: now. It seems that the server has this tool no more" in told.detail
    assert "being brought up to date" in told.detail


@pytest.mark.anyio
async def test_a_burst_is_one_notice() -> None:
    noticed: list[str] = []
    notices = Notices(noticed.append)
    for name in ("clock", "clock", "files", "clock"):
        notices.tell(ServerName(name))
    assert noticed == ["clock", "files"]
