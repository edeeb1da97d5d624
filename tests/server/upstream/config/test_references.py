"""References in settings: resolved at connect time, and never guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.errors import InvalidConfig
from toolcrib_registry.types import (
    CatalogTransport,
    HttpTransport,
    Server,
    ServerName,
    StdioTransport,
)
from toolcrib_server.upstream.config.references import expand, has_reference, resolve

ENV = {"HOME": "/home/me", "EMPTY": "", "URL": "http://h"}


class Vault:
    def find(self, key):
        return {"gh/env/TOKEN": "s3cr3t-value"}.get(key)


def fill(value, env=None):
    given_env = ENV if env is None else env
    return expand(value, env=given_env, secrets=Vault(), server="gh", key="env.TOKEN")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("${HOME}/x", "/home/me/x"),
        ("${env:HOME}", "/home/me"),
        ("${NONE:-fallback}", "fallback"),
        ("${NONE:-}", ""),
        ("${EMPTY:-fallback}", "fallback"),
        ("${EMPTY}", ""),
        ("${env:NONE:-http://d:1}", "http://d:1"),
        ("${HOME:-fallback}", "/home/me"),
        ("Bearer ${secret:gh/env/TOKEN}", "Bearer s3cr3t-value"),
        ("$${HOME}", "${HOME}"),
        ("$HOME and 5$", "$HOME and 5$"),
        ("${HOME}${HOME}", "/home/me/home/me"),
    ],
)
def test_references_are_replaced(value, expected):
    assert fill(value) == expected


@pytest.mark.parametrize(
    ("value", "problem", "fix"),
    [
        ("${NONE}", "variable NONE is not set", "Set NONE before"),
        ("${secret:gh/other}", "the secret gh/other", "Add the server again"),
        ("${input:gh-token}", "by an editor only", "${GH_TOKEN}"),
        ("${workspaceFolder}/x", "by an editor only", "${WORKSPACE_FOLDER}"),
        ("${vault:x}", "${vault:x} is not a reference", "${VAR:-default}"),
        ("${A-B}", "${A-B} is not a reference", "${VAR}"),
        ("${}", "${} is not a reference", "${VAR}"),
        ("${HOME", "never closed", "'}'"),
    ],
)
def test_what_cannot_be_replaced_is_named_with_the_fix(value, problem, fix):
    with pytest.raises(InvalidConfig) as caught:
        fill(value)
    assert problem in caught.value.problem
    assert fix in caught.value.fix
    assert caught.value.file == "server 'gh'"
    assert caught.value.key == "env.TOKEN"


@given(st.text())
def test_text_without_references_stays_as_it_is(text):
    if "${" not in text:
        assert fill(text) == text
        assert not has_reference(text)


@given(st.text(alphabet="abc${}", max_size=12))
def test_escaping_protects_any_text(text):
    assert fill(text.replace("${", "$${")) == text or "$$" in text


def test_every_part_of_a_transport_is_resolved_and_secrets_are_known():
    server = Server(
        name=ServerName("gh"),
        transport=StdioTransport(
            "${HOME}/bin/x",
            ("--url", "${URL}"),
            {"TOKEN": "${secret:gh/env/TOKEN}", "PLAIN": "x", "FROM": "${HOME}"},
            "${HOME}",
        ),
    )
    resolved = resolve(server, env=ENV, secrets=Vault())
    assert resolved.transport == StdioTransport(
        "/home/me/bin/x",
        ("--url", "http://h"),
        {"TOKEN": "s3cr3t-value", "PLAIN": "x", "FROM": "/home/me"},
        "/home/me",
    )
    assert resolved.secrets == {"s3cr3t-value", "/home/me"}


def test_a_header_may_not_smuggle_a_line():
    server = Server(name=ServerName("web"), transport=HttpTransport("http://h", {"A": "${BAD}"}))
    with pytest.raises(InvalidConfig, match="line break"):
        resolve(server, env={"BAD": "x\r\nHost: evil"}, secrets=Vault())


def test_a_catalogue_has_nothing_to_resolve():
    server = Server(name=ServerName("papers"), transport=CatalogTransport("tools.jsonl"))
    with pytest.raises(InvalidConfig, match="no server to connect to"):
        resolve(server, env={}, secrets=Vault())
