"""The official OpenAI client is given answers again: whole and streamed, and told so."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import openai
import pytest

from toolcrib_server.upstream.models.testing import WORDS, open_provider

pytestmark = pytest.mark.anyio

KEYS = {"api_keys": "a-key-for-alice-0001,a-key-for-bob-00002", "admin_keys": "a-key-for-admin-001"}
ALICE, BOB, ADMIN = "a-key-for-alice-0001", "a-key-for-bob-00002", "a-key-for-admin-001"
OFFER = {"provider": "acme", "remoteModel": "says:one|two|three", "priceInUsd": 1, "priceOutUsd": 1}
QUESTION = "Which number comes first?"


class Door:
    """A served Toolcrib with a model whose every answer is another, and a client for each key."""

    def __init__(self, house: Any, provider: Any, stack: AsyncExitStack) -> None:
        self.house, self.provider, self._stack = house, provider, stack

    async def register(self, mood: str = "says:one|two|three", name: str = "m") -> None:
        offer = OFFER | {"remoteModel": mood, "endpoint": self.provider.url}
        body = {"name": name, "descriptor": {}, "offers": [offer]}
        answer = await self.http("POST", "/api/v1/models", key=ADMIN, json=body)
        assert answer.status_code == 201, answer.text

    async def http(self, method: str, path: str, *, key: str, **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}", **more.pop("headers", {})}
        return await self.house.http.request(method, path, headers=headers, **more)

    async def ask(self, text: str = QUESTION, *, key: str = ALICE, own: Any = None, **more: Any):
        body = {"model": "m", "temperature": 0, "messages": [{"role": "user", "content": text}]}
        own_word = {} if own is None else {"toolcrib": own}
        return await self.http(
            "POST",
            "/v1/chat/completions",
            key=key,
            json=body | own_word | more.pop("body", {}),
            **more,
        )


@pytest.fixture
def open_door(open_house):
    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncGenerator[Door]:
        async with AsyncExitStack() as stack:
            provider = await stack.enter_async_context(open_provider())
            house = await stack.enter_async_context(open_house(**KEYS, **settings))
            door = Door(house, provider, stack)
            await door.register()
            yield door

    return opened


def said(answer: httpx.Response) -> tuple[str, str]:
    assert answer.status_code == 200, answer.text
    text = answer.json()["choices"][0]["message"]["content"]
    return text, answer.headers.get("x-toolcrib-cache", "-")


async def test_nothing_is_given_again_unless_the_operator_turned_it_on(open_door):
    async with open_door() as door:
        assert said(await door.ask()) == ("one", "-")
        assert said(await door.ask()) == ("two", "-")
        answer = await door.ask(own={"cache": True})
        assert said(answer) == ("three", "skipped")
        assert answer.json()["toolcrib"]["cache"] == {"outcome": "skipped", "reason": "off"}


async def test_the_same_request_is_answered_once_and_the_second_costs_nothing(open_door):
    async with open_door(answer_cache="exact") as door:
        assert said(await door.ask()) == ("one", "miss")
        again = await door.ask()
        assert said(again) == ("one", "exact")
        assert again.headers["x-toolcrib-cost-usd"] == "0"
        own = again.json()["toolcrib"]
        assert own["cache"]["savedUsd"] == pytest.approx(12 / 1e6)
        assert (own["model"], own["costUsd"]) == ("m", 0)
        assert len(door.provider.bodies) == 1


async def test_keys_are_apart_and_so_are_parameters_and_who_declines(open_door):
    async with open_door(answer_cache="semantic") as door:
        assert said(await door.ask()) == ("one", "miss")
        assert said(await door.ask(key=BOB)) == ("two", "miss")
        assert said(await door.ask(body={"max_tokens": 9})) == ("three", "miss")
        assert said(await door.ask(own={"cache": False})) == ("one", "skipped")
        declined = await door.ask(headers={"x-toolcrib-cache": "off"})
        assert said(declined) == ("two", "skipped")
        assert said(await door.ask()) == ("one", "exact")


async def test_another_wording_is_answered_where_the_encoder_finds_it_alike(open_door):
    async with open_door(answer_cache="semantic", answer_cache_similarity=0.8) as door:
        assert said(await door.ask()) == ("one", "miss")
        # The encoder of the tests counts words: the same ones, in the same order.
        again = await door.ask("which number comes first")
        assert said(again) == ("one", "near")
        assert again.json()["toolcrib"]["cache"]["question"] == QUESTION
        assert said(await door.ask("Which number comes last?"))[1] == "miss"


async def test_a_stream_fills_the_cache_and_is_served_from_it(open_door):
    async with open_door(answer_cache="exact") as door:
        await door.register("ok", name="s")
        client = openai.AsyncOpenAI(base_url=f"{door.house.url}/v1", api_key=ALICE, max_retries=0)
        async with client:
            texts: list[str] = []
            for _ in range(2):
                stream = await client.chat.completions.create(
                    model="s",
                    temperature=0,
                    messages=[{"role": "user", "content": QUESTION}],
                    stream=True,
                    stream_options={"include_usage": True},
                )
                chunks = [chunk async for chunk in stream]
                parts = (c.choices[0].delta.content or "" for c in chunks if c.choices)
                texts.append("".join(parts))
                assert chunks[-1].usage is not None
            whole = await client.chat.completions.create(
                model="s", temperature=0, messages=[{"role": "user", "content": QUESTION}]
            )
        assert texts == ["".join(WORDS)] * 2
        assert whole.choices[0].message.content == "".join(WORDS)
        assert len(door.provider.bodies) == 1


async def test_a_failure_is_not_kept(open_door):
    async with open_door(answer_cache="exact") as door:
        await door.register("broken", name="b")
        for _ in range(2):
            assert (await door.ask(body={"model": "b"})).status_code >= 500


async def test_answers_are_forgotten_by_their_owner_and_all_by_an_administrator(open_door):
    async with open_door(answer_cache="exact") as door:
        await door.ask()
        await door.ask(key=BOB)
        refused = await door.http("DELETE", "/api/v1/answers?principal=key-2", key=ALICE)
        assert refused.status_code == 403
        assert (
            await door.http("DELETE", "/api/v1/answers?everything=1", key=BOB)
        ).status_code == 403
        mine = await door.http("DELETE", "/api/v1/answers", key=ALICE)
        assert mine.json() == {"forgotten": 1}
        state = (await door.http("GET", "/api/v1/answers", key=ADMIN)).json()
        assert (state["mode"], state["answers"], state["outcomes"]) == ("exact", 1, {"miss": 2})
        everyones = await door.http("DELETE", "/api/v1/answers?everything=true", key=ADMIN)
        assert everyones.json() == {"forgotten": 1}
        metrics = (await door.http("GET", "/metrics", key=ALICE)).text
        assert 'toolcrib_answer_cache_total{outcome="miss"} 2.0' in metrics
        assert "toolcrib_answer_cache_answers 0.0" in metrics


async def test_a_wish_that_makes_no_sense_is_refused(open_door):
    async with open_door(answer_cache="exact") as door:
        answer = await door.ask(own={"cache": "sometimes"})
        assert answer.status_code == 400
        assert "cache is 'sometimes'" in answer.json()["error"]["message"]


async def test_a_model_that_is_gone_answers_no_more(open_door):
    async with open_door(answer_cache="exact") as door:
        await door.ask()
        gone = await door.http("DELETE", "/api/v1/models/m", key=ADMIN)
        assert gone.status_code in {200, 204}, gone.text
        assert (await door.ask()).status_code == 404
