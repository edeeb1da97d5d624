"""Requests as values: what would be sent."""

from typing import Any

from toolcrib_clients import requests
from toolcrib_registry.wire import ModelIn


def test_names_are_quoted_into_paths():
    assert requests.get_server("a/b c").path == "/api/v1/servers/a%2Fb%20c"
    assert requests.get_model("acme/m 1").path == "/api/v1/models/acme/m%201"
    assert requests.get_entry("resource", "s__file:/x").path.endswith("/resource/s__file%3A/x")


def test_bodies_are_camel_case_and_hold_only_what_was_given():
    request = requests.add_model({"name": "m", "offers": [{"provider": "p", "price_in_usd": 1}]})
    assert request.body == {"name": "m", "offers": [{"provider": "p", "priceInUsd": 1.0}]}
    assert requests.put_model(ModelIn(name="a/b")).path == "/api/v1/models/a/b"


def test_of_a_search_only_what_differs_from_the_default_is_sent():
    plain: dict[str, Any] = {
        "k": 5,
        "kinds": None,
        "servers": None,
        "tags": None,
        "read_only": False,
        "destructive": True,
        "detail": "brief",
        "max_tokens": None,
        "rerank": "auto",
        "split": True,
        "fold": True,
        "dependencies": True,
        "explain": False,
        "group_by": None,
    }
    assert requests.search("x", **plain).body == {"query": "x"}
    asked: dict[str, Any] = {**plain, "read_only": True, "group_by": "server"}
    body = {"query": ["a", "b"], "readOnly": True, "groupBy": "server"}
    assert requests.search(["a", "b"], **asked).body == body


def test_arguments_keep_their_nulls():
    request = requests.call("t", {"a": None, "b": {"c": None}}, timeout_s=None)
    assert request.body is not None
    assert request.body["arguments"] == {"a": None, "b": {"c": None}}


def test_what_takes_long_has_a_longer_deadline():
    assert requests.call("t", {}, timeout_s=300).timeout_s == 310
    assert requests.call("t", {}, timeout_s=None).timeout_s is not None
    assert requests.sync(None).timeout_s is not None
    assert requests.sync_status().timeout_s is None


def test_the_next_page_is_asked_for_with_the_cursor_and_the_same_filters():
    listing = requests.list_tools(server="s", text=None)
    assert dict(listing.after("c").params) == {"server": "s", "limit": "1000", "cursor": "c"}
