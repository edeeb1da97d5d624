"""Which service a command line means, and where a served Toolcrib has it."""

import pytest

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.cli.assistant import read_place
from toolcrib_server.cli.serving import _of_place
from toolcrib_server.downstream.places import Place, PlaceKind

SERVER, VIEW = Place(PlaceKind.SERVER, "a b"), Place(PlaceKind.VIEW, "v")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], (None,)),
        (["--server", "a b"], (SERVER,)),
        (["--server=a b"], (SERVER,)),
        (["--view", "v"], (VIEW,)),
        (["--view"], None),
        (["--view="], None),
        (["--help"], None),
        (["--server", "x", "--view", "y"], None),
        (["--other", "x"], None),
        (["server", "x"], None),
    ],
)
def test_the_short_way_knows_its_own_arguments_alone(arguments, found):
    assert read_place(arguments) == found


def test_a_served_toolcrib_has_each_at_its_own_address():
    for url in ("http://h:1/mcp", "http://h:1/mcp/"):
        assert _of_place(url, None) == url
        assert _of_place(url, SERVER) == "http://h:1/servers/a%20b/mcp"
        assert _of_place(url, VIEW) == "http://h:1/mcp/v/v"
    with pytest.raises(InvalidInput, match="ends in /mcp"):
        _of_place("http://h:1/", VIEW)
