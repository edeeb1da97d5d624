from contextlib import asynccontextmanager

import anyio
import pytest

from toolcrib_server.downstream.listening import Listening
from toolcrib_server.downstream.service import Client, RpcError
from toolcrib_server.downstream.testing import Workshop

pytestmark = pytest.mark.anyio

CLIENT = Client(principal="p", version="2025-11-25")


@asynccontextmanager
async def opened():
    shop, heard = Workshop(), []

    async def tell(method, params):
        heard.append((method, dict(params)))

    async with anyio.create_task_group() as tasks:
        yield shop, heard, Listening(lambda: CLIENT, tell, tasks, pause_s=0.01)
        tasks.cancel_scope.cancel()


def watching(*uris):
    return {"resourceSubscriptions": list(uris)}


async def test_the_next_listening_is_agreed_before_the_last_one_ends():
    async with opened() as (shop, heard, listening):
        most = []
        listen = shop.listen

        async def counted(client, wanted, notify):
            async def told(method, params):
                most.append(shop.listening)
                await notify(method, params)

            await listen(client, wanted, told)

        shop.listen = counted
        await listening.want(shop, watching("tool://a"))
        agreed = await listening.want(shop, watching("tool://a", "http://b"))
        assert agreed == watching("tool://a")
        assert most == [1, 2]
        await shop.wait(lambda: shop.listening == 1)
        await shop.tell("notifications/resources/updated", {"uri": "tool://a"})
        assert heard == [("notifications/resources/updated", {"uri": "tool://a"})]


async def test_what_cannot_be_listened_to_leaves_the_last_one_as_it_is():
    async with opened() as (shop, _, listening):
        await listening.want(shop, watching("tool://a"))
        with pytest.raises(RpcError):
            await listening.want(shop, watching("tool://broken"))
        assert (shop.listening, listening.wanted) == (1, watching("tool://a"))


async def test_wanting_nothing_ends_it():
    async with opened() as (shop, _, listening):
        await listening.want(shop, {"toolsListChanged": True})
        assert await listening.want(shop, {}) == {}
        await shop.wait(lambda: not shop.listening)
        assert listening.wanted == {}


async def test_it_is_taken_up_again_and_the_gap_is_told_of_all_that_is_listened_to():
    async with opened() as (shop, heard, listening):
        await listening.want(shop, {"toolsListChanged": True, **watching("tool://a")})
        for times in (2, 3):
            shop.end_listening()
            await shop.wait(lambda times=times: len(shop.wanted) == times)
        await shop.wait(lambda: shop.listening)
        assert (
            heard
            == [
                ("notifications/tools/list_changed", {}),
                ("notifications/resources/updated", {"uri": "tool://a"}),
            ]
            * 2
        )


async def test_a_service_that_fails_is_asked_again_later():
    async with opened() as (shop, _, listening):
        fails = iter([False, True, True, False])
        listen = shop.listen

        async def flaky(client, wanted, notify):
            if next(fails):
                shop.wanted.append(wanted)
                raise RpcError(-32603, "gone")
            await listen(client, wanted, notify)

        shop.listen = flaky
        await listening.want(shop, watching("tool://a"))
        shop.end_listening()
        await shop.wait(lambda: len(shop.wanted) == 4)
        assert shop.listening == 1


async def test_a_service_that_has_a_defect_is_no_defect_of_ours():
    async with opened() as (shop, _, listening):

        async def broken(client, wanted, notify):
            raise RuntimeError("broken")

        shop.listen = broken
        with pytest.raises(RpcError) as caught:
            await listening.want(shop, watching("tool://a"))
        assert "incident" in caught.value.message
