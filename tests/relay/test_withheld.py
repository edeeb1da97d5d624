"""No spelling of a URI leads past what is withheld, and none takes long to judge."""

import time

import pytest

from toolcrib_server.relay.withheld import Withheld


@pytest.mark.parametrize(
    "spelling",
    [
        "memo://secret",
        "MEMO://secret",
        " memo://secret",
        "memo://sec\tret\n",
        "memo://secret/",
        "memo://secret#part",
        "memo://sec%72et",
    ],
)
def test_another_spelling_of_a_withheld_resource_is_withheld(spelling):
    assert Withheld(["memo://secret"]).covers(spelling)


@pytest.mark.parametrize(
    "spelling",
    ["file:/home/me/key", "FILE:///home/you/../me/key", "file://\\home\\me\\.\\key"],
)
def test_a_path_that_goes_astray_is_withheld(spelling):
    assert Withheld(["file:///home/me/key"]).covers(spelling)


def test_what_is_spelled_otherwise_is_not():
    withheld = Withheld(["memo://secret", "https://example.com:443/a"])
    assert withheld.covers("https://example.com/a")
    assert not withheld.covers("memo://secrets")
    assert not withheld.covers("https://example.com:444/a")
    assert not Withheld().covers("memo://secret")


@pytest.mark.parametrize(
    ("template", "uri", "covered"),
    [
        ("test://{kind}/of/{name}", "test://a/of/b", True),
        ("test://{kind}/of/{name}", "TEST://a/OF/b", True),
        ("test://{kind}/of/{name}", "test://a/b", False),
        ("test://private/{name}", "test://x/../private/b", False),
        ("test://x/private/{name}", "test://x/open/../private/b", True),
        ("{all}", "anything", True),
        ("test://{a}x", "test://x", True),
        ("test://ab{c}b", "test://ab", False),
        ("test://{unclosed", "test://{unclosed", True),
    ],
)
def test_a_template_covers_what_it_could_expand_to(template, uri, covered):
    assert Withheld([template]).covers(uri) is covered


def test_a_template_of_many_expressions_takes_no_longer():
    withheld = Withheld(["bomb://" + "{a}" * 40 + "b{c}" * 40 + "!"])
    begin = time.process_time()
    assert not withheld.covers("bomb://" + "b" * 100_000)
    assert not withheld.covers("bomb://" + "ab" * 50_000)
    assert time.process_time() - begin < 1
