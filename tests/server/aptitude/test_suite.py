"""The questions can be read, are checked for certain, and a file that makes no sense says where."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.aptitude.examining import check
from toolcrib_server.aptitude.suite import built_in_suite, load_suite, parse_suite

GOOD = {
    "id": "a",
    "area": "sums",
    "prompt": "1 + 1?",
    "verify": [{"kind": "pattern", "pattern": "2"}],
}
RIGHT = {
    "arithmetic-1": "391",
    "arithmetic-2": "626.",
    "arithmetic-3": "68",
    "arithmetic-4": "The answer is **148**.",
    "arithmetic-5": "6",
    "reasoning-1": "Ann",
    "reasoning-2": "No.",
    "reasoning-3": "Thursday",
    "reasoning-4": "Second.",
    "reasoning-5": "3",
    "json-1": '{"name": "Ada", "age": 36}',
    "json-2": '["blue", "red", "green"]',
    "json-3": '{"items": [{"sku": "A-1", "count": 2}, {"sku": "B-2", "count": 5}]}',
    "json-4": '{"quote": "She said \\"no\\"."}',
    "instructions-1": "BANANA",
    "instructions-2": "1,2,3,4,5",
    "instructions-3": "tokyo",
    "instructions-4": "When rain falls, open your umbrella.",
    "instructions-5": "yes\nyes\nyes",
    "extraction-1": "4711",
    "extraction-2": "maria@example.org",
    "extraction-3": "2024-05-03",
    "extraction-4": "none",
    "code-1": "4",
    "code-2": "CBA",
    "code-3": "12",
    "code-4": "2-4-6",
    "code-5": "SELECT COUNT(*) FROM orders WHERE amount > 100;",
    "languages-1": "chat",
    "languages-2": "Brücke",
    "languages-3": "Dog",
    "languages-4": "Italian.",
    "languages-5": "猫",
}
WRONG = (
    "",
    "42",
    "I do not know.",
    "yes\nyes",
    "{}",
    "1391",
    "1, 2, 3, 4, 5",
    "banana",
    "SELECT 1",
)


def test_every_question_takes_its_right_answer_and_none_that_is_wrong():
    tasks = {task.id: task for task in built_in_suite()}
    assert tasks.keys() == RIGHT.keys()
    for name, task in tasks.items():
        assert check(task.checks, RIGHT[name]).score == 1.0, name
        for wrong in WRONG:
            assert check(task.checks, wrong).score == 0.0, (name, wrong)


def test_no_question_takes_the_answer_of_another_but_where_both_are_the_same():
    tasks = built_in_suite()
    taken = [
        (task.id, other)
        for task in tasks
        for other, answer in RIGHT.items()
        if other != task.id and check(task.checks, answer).score == 1.0
    ]
    assert taken == []


def test_each_area_has_some_questions():
    areas = [task.area for task in built_in_suite()]
    assert all(areas.count(area) >= 4 for area in areas)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": ""}, "id must be a text"),
        ({"area": 3}, "area must be a text"),
        ({"prompt": None}, "prompt must be a text"),
        ({"prompt": "x\ud800"}, "half a character"),
        ({"verify": None}, "verify must name certain checks"),
        ({"verify": []}, "must be a list of checks"),
        ({"verify": ["self-consistency"]}, "verify must name certain checks"),
        ({"verify": [{"kind": "judge", "model": "m"}]}, "verify must name certain checks"),
        ({"verify": [{"kind": "pattern", "pattern": "("}]}, "pattern"),
        ({"max_tokens": 0}, "max_tokens must be"),
        ({"max_tokens": True}, "max_tokens must be"),
        ({"weight": 2}, "no field 'weight'"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(tmp_path, change, said):
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps(GOOD | {"id": "z"}) + "\n\n" + json.dumps(GOOD | change))
    with pytest.raises(InvalidInput, match=said) as refused:
        load_suite(file)
    assert f"{file}, line 3" in refused.value.detail


@pytest.mark.parametrize("text", ["", "\n\n", "[]", "nonsense", "\u2028"])
def test_what_holds_no_question_is_refused(text):
    with pytest.raises(InvalidInput):
        parse_suite(text, name="own.jsonl")


def test_an_id_may_be_given_once():
    with pytest.raises(InvalidInput, match="'a' twice"):
        parse_suite("\n".join([json.dumps(GOOD)] * 2), name="own.jsonl")


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path):
    with pytest.raises(InvalidInput, match="No such file"):
        load_suite(tmp_path / "none.jsonl")


@given(st.text(max_size=200))
def test_whatever_is_read_is_read_or_refused(text):
    try:
        tasks = parse_suite(text, name="own.jsonl")
    except InvalidInput:
        return
    assert tasks
