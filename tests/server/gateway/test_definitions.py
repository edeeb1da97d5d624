"""What the meta-tools accept: odd arguments are named, whatever they are."""

import pytest

from toolcrib_registry.errors import InvalidArguments
from toolcrib_server.gateway.definitions import meta_tools
from toolcrib_server.invocation.schemas.arguments import ArgumentCheck

NUMBERS_THAT_ARE_NONE = [float("nan"), float("inf"), float("-inf"), 1e-9]


@pytest.fixture(scope="module")
def check() -> ArgumentCheck:
    (search,) = (tool for tool in meta_tools([]) if tool["name"] == "search_tools")
    return ArgumentCheck("search_tools", search["inputSchema"])


@pytest.mark.parametrize("field", ["k", "max_tokens"])
@pytest.mark.parametrize("number", NUMBERS_THAT_ARE_NONE)
def test_a_number_that_is_none_is_refused(check, field, number):
    with pytest.raises(InvalidArguments, match=f"{field}: is number .expected integer"):
        check.check({"query": "x", field: number})


@pytest.mark.parametrize("query", ["x", ["x"], ["x", ""], []])
def test_a_query_is_a_text_or_a_list_of_texts(check, query):
    check.check({"query": query, "k": 5.0, "readOnly": True, "destructive": False, "tags": []})


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"text": "x"}, "query: is object .expected string or array"),
        ([["x"]], "query.0: is array .expected string"),
        (True, "query: is boolean"),
    ],
)
def test_another_query_is_refused_in_words(check, query, says):
    with pytest.raises(InvalidArguments, match=says):
        check.check({"query": query})
