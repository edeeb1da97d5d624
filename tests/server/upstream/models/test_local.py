"""Model servers are started when asked for, shared, ended when idle, and never left behind."""

import sys
from dataclasses import replace

import anyio
import psutil
import pytest

from toolcrib_registry.errors import NotCallable, UpstreamTimeout, UpstreamUnavailable
from toolcrib_registry.types import Launch, Offer
from toolcrib_server.upstream.models.client import ModelClient
from toolcrib_server.upstream.models.local import LocalServers
from toolcrib_server.upstream.models.target import resolve_target

pytestmark = pytest.mark.anyio

SERVE = ("-m", "toolcrib_server.upstream.models.testing", "{port}")
LAUNCH = Launch(command=sys.executable, args=SERVE, start_timeout_s=60, idle_timeout_s=60)
OFFER = Offer(provider="here", remote_model="ok", launch=LAUNCH)


class NoSecrets:
    def find(self, key: str) -> str | None:
        return None


def servers(**more) -> LocalServers:
    return LocalServers(env={"SET": "a-long-value"}, secrets=NoSecrets(), **more)


async def answer(offer: Offer, url: str) -> str:
    target = resolve_target(offer, url=url, env={}, secrets=NoSecrets())
    async with ModelClient() as client:
        body = {"model": offer.remote_model, "messages": [{"role": "user", "content": "hi"}]}
        return (await client.chat(target, body, timeout_s=20))["choices"][0]["message"]["content"]


async def gone(local: LocalServers) -> None:
    with anyio.fail_after(30):
        while local.states():  # noqa: ASYNC110  # no event tells of it
            await anyio.sleep(0.02)


async def test_a_server_is_started_once_for_all_who_ask_and_leaves_no_process():
    urls: list[str] = []
    async with servers() as local:

        async def use() -> None:
            async with local.use(OFFER) as url:
                urls.append(url)
                assert "Hello" in await answer(OFFER, url)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use)
            tasks.start_soon(use)
        async with local.use(replace(OFFER, remote_model="other")) as url:
            urls.append(url)
        assert len(set(urls)) == 1
        (state,) = local.states()
        assert state.pid is not None
        assert psutil.pid_exists(state.pid)
    assert not psutil.pid_exists(state.pid)


async def test_a_server_that_is_idle_is_ended_and_started_again():
    offer = replace(OFFER, launch=replace(LAUNCH, idle_timeout_s=0.1))
    async with servers() as local:
        async with local.use(offer) as first:
            pid = local.states()[0].pid
        await gone(local)
        assert not psutil.pid_exists(pid or 0)
        async with local.use(offer) as second:
            assert first != second or local.states()[0].pid != pid


async def test_no_more_run_at_once_than_may_and_the_idle_one_makes_room():
    other = replace(OFFER, launch=replace(LAUNCH, env={"WHICH": "two"}))
    async with servers(max_running=1) as local:
        async with local.use(OFFER):
            with pytest.raises(UpstreamUnavailable, match="TOOLCRIB_MAX_LOCAL_MODELS"):
                async with local.use(other):
                    pass
        async with local.use(other):
            assert len(local.states()) == 1


@pytest.mark.parametrize(
    ("launch", "kind", "says"),
    [
        (replace(LAUNCH, command="no-such-command"), UpstreamUnavailable, "was not found"),
        (
            replace(LAUNCH, args=("-c", "import sys; sys.exit('no weights')")),
            UpstreamUnavailable,
            "exit code 1; it said: no weights",
        ),
        (
            replace(LAUNCH, args=("-c", "import time; time.sleep(60)"), start_timeout_s=0.5),
            UpstreamTimeout,
            "within 0.5 s",
        ),
        (replace(LAUNCH, env={"X": "${UNSET}"}), NotCallable, "UNSET is not set"),
        (replace(LAUNCH, cwd="/no/such/folder"), UpstreamUnavailable, "does not exist"),
    ],
)
async def test_a_server_that_does_not_start_says_why(launch, kind, says):
    offer = replace(OFFER, launch=launch)
    async with servers() as local:
        with pytest.raises(kind, match=says):
            async with local.use(offer):
                pass
        assert local.states() == ()


async def test_a_server_that_dies_is_started_again():
    async with servers() as local:
        async with local.use(OFFER):
            pid = local.states()[0].pid or 0
        psutil.Process(pid).kill()
        await gone(local)
        async with local.use(OFFER) as url:
            assert "Hello" in await answer(OFFER, url)


async def test_a_port_that_is_taken_is_named():
    async with servers() as local, local.use(OFFER) as url:
        taken = replace(OFFER, endpoint=url)
        with pytest.raises(UpstreamUnavailable, match="is taken by another process"):
            async with local.use(taken):
                pass


async def test_what_is_started_here_is_not_asked_for_elsewhere():
    async with servers() as local:
        with pytest.raises(NotCallable, match=r"at 'models.example.com': name 127.0.0.1"):
            async with local.use(replace(OFFER, endpoint="http://models.example.com:80/v1")):
                pass
        with pytest.raises(NotCallable, match="no command"):
            async with local.use(replace(OFFER, launch=None)):
                pass


async def test_secrets_of_the_environment_are_not_in_errors():
    code = "import os, sys; sys.exit('cannot use ' + os.environ['TOKEN'])"
    launch = replace(LAUNCH, args=("-c", code), env={"TOKEN": "${SET}"})
    async with servers() as local:
        with pytest.raises(UpstreamUnavailable, match="cannot use •••"):
            async with local.use(replace(OFFER, launch=launch)):
                pass


async def test_every_server_can_be_ended_at_once_also_while_it_starts():
    pids: list[int] = []
    slow = replace(OFFER, launch=replace(LAUNCH, args=("-c", "import time; time.sleep(60)")))
    async with servers() as local, anyio.create_task_group() as tasks:
        async with local.use(OFFER):
            pass

        async def wait() -> None:
            with pytest.raises(UpstreamUnavailable, match="was stopped"):
                async with local.use(slow):
                    pass

        tasks.start_soon(wait)
        with anyio.fail_after(30):
            while len([s for s in local.states() if s.pid]) < 2:  # noqa: ASYNC110  # no event
                await anyio.sleep(0.02)
        pids = [state.pid or 0 for state in local.states()]
        await local.aclose_all()
        assert local.states() == ()
    assert not any(map(psutil.pid_exists, pids))
