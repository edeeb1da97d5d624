"""What a request needs and asks is read from its body; what no model could answer is refused."""

import pytest

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.invocation.bodies.request import check_body, check_chat, needs_of, task_of
from toolcrib_server.selection.constraint import Ability

HELLO = {"messages": [{"role": "user", "content": "hello"}]}


def test_every_answer_asked_for_is_counted_and_a_count_has_bounds():
    assert needs_of({**HELLO, "max_tokens": 10, "n": 7}).expected_out == 70
    with pytest.raises(InvalidInput, match="max_tokens has 401 digits"):
        check_chat({**HELLO, "max_tokens": 10**400})


def test_what_a_request_needs_is_read_from_it():
    needs = needs_of(
        {
            "messages": [
                {"role": "system", "content": "x" * 40},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "y" * 20},
                        {"type": "image_url", "image_url": {"url": "…"}},
                        {"type": "input_audio", "input_audio": {}},
                        "no part",
                    ],
                },
                "no message",
            ],
            "response_format": {"type": "json_schema"},
            "max_completion_tokens": 7,
        }
    )
    assert needs.abilities == {Ability.STRUCTURED_OUTPUT}
    assert needs.modalities_in == {"image", "audio"}
    assert needs.tokens_out == 7
    assert needs.tokens_in == 21 + 800
    assert needs_of({}).tokens_in == 0


def test_the_task_is_what_the_user_said_last():
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "no"},
        {"role": "user", "content": [{"type": "text", "text": "second"}]},
        {"role": "tool", "content": "result"},
    ]
    assert task_of({"messages": messages}) == "second"
    assert task_of({"messages": [{"role": "system", "content": "be kind"}]}) == "be kind"
    assert task_of({"messages": []})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "messages is missing"),
        ({"messages": "hello"}, "messages is missing"),
        ({"messages": [{"content": "x"}]}, "messages.0 is no message"),
        ({**HELLO, "max_tokens": 1.5}, "max_tokens is 1.5"),
        ({**HELLO, "max_tokens": True}, "max_tokens is True"),
        ({**HELLO, "temperature": float("inf")}, "temperature holds a number"),
        ({**HELLO, "logit_bias": {"1": [float("nan")]}}, "logit_bias holds a number"),
    ],
)
def test_a_chat_that_no_model_could_answer_is_refused(body, says):
    with pytest.raises(InvalidInput, match=says):
        check_chat(body)


def test_a_body_that_nests_too_deeply_is_refused():
    nested: object = 1
    for _ in range(200):
        nested = [nested]
    with pytest.raises(InvalidInput, match="deeper than 100"):
        check_body({"x": nested})
