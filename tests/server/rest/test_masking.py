"""What is shown of a transport holds no literal, and comes back whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import (
    CatalogTransport,
    HttpTransport,
    Server,
    ServerName,
    StdioTransport,
)
from toolcrib_server.rest.masking import (
    MASK,
    mask_args,
    mask_url,
    mask_value,
    masked,
    new_references,
    unmasked,
)
from toolcrib_server.upstream.config.secrets import SecretStore, seal


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", ""),
        ("literal", MASK),
        ("${TOKEN}", "${TOKEN}"),
        ("${secret:s/env/K}", "${secret:s/env/K}"),
        ("${TOKEN:-fallback}", "${TOKEN}"),
        ("Bearer ${TOKEN}", MASK + "${TOKEN}"),
        ("${A}${B}", "${A}${B}"),
        ("${unclosed", MASK),
    ],
)
def test_references_show_and_literals_do_not(value, shown):
    assert mask_value(value) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/mcp", "https://a.example/mcp"),
        ("https://u:p@a.example:8/mcp", f"https://{MASK}@a.example:8/mcp"),
        ("https://a.example/?k=v&flag", f"https://a.example/?k={MASK}&flag"),
        ("https://a.example/?k=${K}", "https://a.example/?k=${K}"),
        ("https://a.example/#secret", "https://a.example/"),
        ("http://[broken", MASK),
    ],
)
def test_a_url_shows_where_and_not_who(url, shown):
    assert mask_url(url) == shown


secrets = st.text("abcdefgh0123456789", min_size=8, max_size=12)


@given(literal=secrets, other=secrets)
def test_no_literal_shows_and_everything_comes_back(literal, other):
    stdio = StdioTransport(
        "run", ("--api-key", literal, f"--token={other}", "plain"), {"A": literal, "B": "${B}"}
    )
    http = HttpTransport(f"https://x.example/mcp?key={literal}", {"Authorization": other})
    for transport in (stdio, http):
        shown = masked(transport)
        assert literal not in repr(shown)
        assert other not in repr(shown)
        assert unmasked(shown, transport) == transport


def test_what_was_sealed_shows_as_its_reference_and_comes_back(tmp_path):
    store = SecretStore(tmp_path / "secrets.json")
    stdio = StdioTransport("run", ("--api-key", "abc", "-e", "A_TOKEN=def", "https://u:p@h/?x=1"))
    http = HttpTransport("https://x.example/mcp?a=1&key=abc")
    for transport in (stdio, http):
        sealed = seal(Server(name=ServerName("s"), transport=transport), store).transport
        shown = masked(sealed)
        assert "${secret:s/" in repr(shown)
        assert "abc" not in repr(shown)
        assert unmasked(shown, sealed) == sealed
        assert new_references(unmasked(shown, sealed), sealed) == []


def test_arguments_show_up_to_their_secrets():
    args = ["--token=a", "--key", "b", "A_KEY=c", "X-Key: d", "https://h/?page=1", "https://u:p@h"]
    shown = [f"--token={MASK}", "--key", MASK, f"A_KEY={MASK}", f"X-Key: {MASK}"]
    assert mask_args(args) == [*shown, f"https://h/?page={MASK}", MASK]


def test_a_masked_value_is_not_taken_over_from_another_key_or_kind():
    stored = HttpTransport("https://x.example", {"A": "secret"})
    with pytest.raises(InvalidInput, match=r"headers\.B"):
        unmasked(HttpTransport("https://x.example", {"B": MASK}), stored)
    with pytest.raises(InvalidInput, match=r"env\.A"):
        unmasked(StdioTransport("x", (), {"A": MASK}), stored)


def test_a_stored_secret_does_not_follow_to_another_host():
    stored = HttpTransport("https://good.example/mcp", {"Authorization": "secret"})
    with pytest.raises(InvalidInput, match="Authorization"):
        unmasked(HttpTransport("https://evil.example/mcp", {"Authorization": MASK}), stored)


def test_new_values_replace_stored_ones():
    stored = HttpTransport("https://x.example", {"A": "old"})
    given_now = HttpTransport("https://x.example", {"A": "new"})
    assert unmasked(given_now, stored) == given_now


def test_a_catalogue_has_nothing_to_hide():
    catalogue = CatalogTransport("file.jsonl")
    assert masked(catalogue) == catalogue
    assert unmasked(catalogue, catalogue) == catalogue
