"""Whatever is sent to the OpenAI door is read, or refused in words; nothing else comes of it."""

import json
from typing import Any

import anyio
import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.invocation.bodies.request import check_chat, needs_of, task_of
from toolcrib_server.rest.openai.asking import Asked, read_request
from toolcrib_server.selection.models import Objective

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = st.recursive(
    scalars,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=8), part),
    max_leaves=8,
)
names = st.sampled_from(
    ["model", "messages", "stream", "max_tokens", "tools", "response_format", "toolcrib", "n", "x"]
)
parts = st.dictionaries(st.sampled_from(["type", "text", "image_url"]), anything)
messages = st.lists(
    st.dictionaries(st.sampled_from(["role", "content"]), anything | st.lists(parts, max_size=3))
    | anything,
    max_size=3,
)
bodies = st.dictionaries(names, anything) | st.fixed_dictionaries(
    {"model": st.just("auto"), "messages": messages}, optional={"toolcrib": anything}
)


def read(content: bytes, **headers: str) -> Asked:
    fields = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def work() -> Asked:
        return await read_request(Request({"type": "http", "headers": fields}, receive))

    return anyio.run(work)


@given(bodies)
def test_any_body_is_read_or_refused_in_words(body: dict[str, Any]) -> None:
    try:
        asked = read(json.dumps(body).encode())
        check_chat(asked.body)
    except InvalidInput:
        return
    assert needs_of(asked.body).tokens_in >= 0
    assert task_of(asked.body)
    assert asked.body == {k: v for k, v in body.items() if k != "toolcrib"}


@given(st.binary(max_size=40))
def test_any_bytes_are_refused_in_words(content: bytes) -> None:
    with pytest.raises(InvalidInput):
        read(content)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('{"model": 5}', "model is 5; give its name as a text"),
        ('{"model": "\\ud800"}', "half a character"),
        ('{"model": "a", "toolcrib": {"timeout_s": 1' + "0" * 400 + "}}", "give seconds"),
        ('{"model": "a", "toolcrib": {"constraints": []}}', "constraints: "),
        ('{"model": "a", "toolcrib": {"constraints": 0}}', "constraints: "),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(body: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read(body.encode())


def test_what_is_ours_may_come_in_headers_and_the_body_wins() -> None:
    content = b'{"model": "auto", "toolcrib": {"objective": "context"}}'
    headers = {
        "x_toolcrib_objective": "cheapest",
        "x_toolcrib_constraints": '{"max_price_in_usd": 2}',
        "x_toolcrib_timeout": "7.5",
    }
    asked = read(content, **headers)
    assert asked.objective is Objective.CONTEXT
    assert asked.constraints.max_price_in_usd == 2
    assert asked.timeout_s == 7.5
    assert asked.body == {"model": "auto"}
    assert read(b'{"model": "auto"}', **headers).objective is Objective.COST
    with pytest.raises(InvalidInput, match="x-toolcrib-constraints is not JSON"):
        read(b'{"model": "auto"}', x_toolcrib_constraints="{")
