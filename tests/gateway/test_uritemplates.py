"""Which URIs could have been made from a template."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.gateway.uritemplates import UriTemplate


@pytest.mark.parametrize(
    ("template", "fitting", "other"),
    [
        ("a://x", ["a://x"], ["a://y", "a://x/", ""]),
        ("a://{id}", ["a://", "a://7", "a://a.b-c"], ["a://7/8", "a://7?q", "b://7"]),
        ("a://{id}/data", ["a://7/data"], ["a://7/dat", "a://7/8/data"]),
        ("a://{x}-{y}.txt", ["a://1-2.txt", "a://1-2-3.txt"], ["a://12.txt"]),
        ("f:///{+path}", ["f:///a/b/c", "f:///"], ["f:///a?b", "g:///a"]),
        ("f:///{+path}.md", ["f:///a/b.md.md"], ["f:///a/b.mdx"]),
        ("a://s{?q,lang}", ["a://s", "a://s?q=1&lang=de"], ["a://sx", "a://s#q"]),
        ("a://s?x=1{&q}", ["a://s?x=1", "a://s?x=1&q=2"], ["a://s?x=12"]),
        ("a://s{#part}", ["a://s", "a://s#a/b?c"], ["a://sa"]),
        ("a://s{/list*}", ["a://s", "a://s/a/b"], ["a://sa", "a://s?a"]),
        ("a://s{.ext}", ["a://s", "a://s.md"], ["a://smd"]),
        ("a://s{;x}", ["a://s", "a://s;x=1"], ["a://sx"]),
        ("a://{", ["a://{"], ["a://x"]),
        ("a://{}}", ["a://x}", "a://}"], ["a://x"]),
    ],
)
def test_a_uri_fits_or_does_not(template, fitting, other):
    parsed = UriTemplate(template)
    assert [uri for uri in fitting if not parsed.matches(uri)] == []
    assert [uri for uri in other if parsed.matches(uri)] == []


@given(st.lists(st.text(st.characters(exclude_characters="/?#&{}"), max_size=8), max_size=4))
def test_whatever_is_put_in_fits(values):
    template = "x://h/" + "/".join("{v}" for _ in values)
    assert UriTemplate(template).matches("x://h/" + "/".join(values))


@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_breaks_it(template, uri):
    assert UriTemplate(template).matches(uri) in {True, False}


def test_no_template_takes_long():
    evil = [UriTemplate("a://" + part * 32) for part in ("{x}a", "{+x}", "{?x}", "{+x}{/x}aa")]
    evil.append(UriTemplate("a://" + "{x}a" * 500))
    began = time.process_time()
    for template in evil:
        template.matches("a://" + "a" * 2000 + "!")
        assert not template.matches("a://" + "a" * 1_000_000)
    assert time.process_time() - began < 2
