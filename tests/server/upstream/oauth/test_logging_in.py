"""A login is made once, by a person, and holds: through expiry, restarts, other processes."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest

from toolcrib_registry.errors import UpstreamUnavailable
from toolcrib_registry.types import HttpTransport, Server, ServerName
from toolcrib_server.upstream.oauth.browser import open_browser
from toolcrib_server.upstream.oauth.logins import Logins
from toolcrib_server.upstream.pool.pool import ConnectionPool

from .conftest import Issuer, follow, open_guarded

pytestmark = pytest.mark.anyio

VAULT = ServerName("vault")


def server_at(url: str, **headers: str) -> Server:
    return Server(name=VAULT, transport=HttpTransport(url, headers))


@asynccontextmanager
async def pool_of(kept, person=None) -> AsyncGenerator[ConnectionPool]:
    async with ConnectionPool(secrets=kept, logins=Logins(kept, person=person)) as pool:
        yield pool


async def log_in(kept, url: str) -> None:
    async with open_browser(follow) as person, pool_of(kept, person) as pool:
        await pool.list_all(server_at(url))


async def use(kept, url: str) -> str:
    async with pool_of(kept) as pool:
        result = await pool.call_tool(server_at(url), "open_vault", {}, timeout_s=10)
        return result["content"][0]["text"]


async def test_without_a_login_the_refusal_says_which_command_to_run(guarded, kept):
    with pytest.raises(UpstreamUnavailable, match="toolcrib login vault"):
        await use(kept, guarded.url)


async def test_after_a_login_another_process_uses_it(guarded, kept):
    await log_in(kept, guarded.url)
    assert await use(kept, guarded.url) == "open"
    assert guarded.issuer.granted == 1


async def test_a_login_is_not_asked_for_twice(guarded, kept):
    await log_in(kept, guarded.url)
    await log_in(kept, guarded.url)
    assert guarded.issuer.granted == 1
    assert len(guarded.issuer.clients) == 1


async def test_a_token_that_ran_out_is_renewed_without_a_person(guarded, kept):
    await log_in(kept, guarded.url)
    (first,) = guarded.issuer.tokens
    await Logins(kept).login_at(VAULT, guarded.url).expire()
    assert await use(kept, guarded.url) == "open"
    assert (guarded.issuer.renewed, guarded.issuer.granted) == (1, 1)
    assert Logins(kept).login_at(VAULT, guarded.url).bearer() not in {None, first}


async def test_a_token_of_seconds_is_used_as_long_as_it_holds(kept):
    async with open_guarded(Issuer(lasts_s=20)) as guarded:
        await log_in(kept, guarded.url)
        assert await use(kept, guarded.url) == "open"
        assert guarded.issuer.renewed == 0


async def test_a_token_that_the_server_dropped_is_renewed_and_the_call_answered(guarded, kept):
    await log_in(kept, guarded.url)
    async with pool_of(kept) as pool:
        server = server_at(guarded.url)
        await pool.call_tool(server, "open_vault", {}, timeout_s=10)
        guarded.issuer.tokens.clear()
        result = await pool.call_tool(server, "open_vault", {}, timeout_s=10)
    assert result["content"][0]["text"] == "open"
    assert guarded.issuer.renewed == 1


async def test_many_calls_at_once_renew_once(guarded, kept):
    await log_in(kept, guarded.url)
    guarded.issuer.tokens.clear()
    async with pool_of(kept) as pool, anyio.create_task_group() as tasks:

        async def call() -> None:
            await pool.call_tool(server_at(guarded.url), "open_vault", {}, timeout_s=20)

        for _ in range(12):
            tasks.start_soon(call)
    assert guarded.issuer.renewed == 1


async def test_when_nothing_can_be_renewed_a_person_is_asked_for(guarded, kept):
    await log_in(kept, guarded.url)
    guarded.issuer.tokens.clear()
    guarded.issuer.renewals.clear()
    with pytest.raises(UpstreamUnavailable, match="toolcrib login vault"):
        await use(kept, guarded.url)


async def test_a_refused_login_says_so(kept):
    async with open_guarded(Issuer(refuses=True)) as guarded:
        with pytest.raises(UpstreamUnavailable, match="access_denied"):
            await log_in(kept, guarded.url)


async def test_nobody_coming_back_ends_the_wait(guarded, kept):
    async def leave(url: str) -> None:
        """Close the page."""

    async with open_browser(leave, patience_s=0.2) as person, pool_of(kept, person) as pool:
        with pytest.raises(UpstreamUnavailable, match="nobody came back"):
            await pool.list_all(server_at(guarded.url))


async def test_the_login_counts_for_its_url_alone(guarded, kept):
    await log_in(kept, guarded.url)
    async with open_guarded(Issuer()) as other:
        with pytest.raises(UpstreamUnavailable, match="toolcrib login vault"):
            await use(kept, other.url)
        seen = other.issuer.tokens
    assert not seen


async def test_a_header_of_the_operators_own_is_left_alone(guarded, kept):
    await log_in(kept, guarded.url)
    (token,) = guarded.issuer.tokens
    async with pool_of(kept) as pool:
        mine = server_at(guarded.url, Authorization=f"Bearer {token}")
        await pool.call_tool(mine, "open_vault", {}, timeout_s=10)
        wrong = server_at(guarded.url, authorization="Bearer nonsense")
        with pytest.raises(UpstreamUnavailable, match="refused the credentials"):
            await pool.call_tool(wrong, "open_vault", {}, timeout_s=10)


async def test_a_logout_forgets_everything(guarded, kept):
    await log_in(kept, guarded.url)
    login = Logins(kept).login_at(VAULT, guarded.url)
    assert await login.forget() is True
    assert await login.forget() is False
    assert await login.get_client_info() is None
    with pytest.raises(UpstreamUnavailable, match="toolcrib login vault"):
        await use(kept, guarded.url)


async def test_a_file_of_secrets_that_somebody_broke_is_no_login(guarded, kept):
    kept.put({"vault/oauth": json.dumps({"url": guarded.url, "tokens": "nonsense"})})
    with pytest.raises(UpstreamUnavailable):
        await use(kept, guarded.url)


@pytest.mark.parametrize("path", ["/", "/callback/x", "/favicon.ico"])
async def test_other_pages_of_the_way_back_are_none(path):
    async with open_browser(follow) as person:
        at = person.redirect_uri.removesuffix("/callback")
        async with httpx.AsyncClient() as browser:
            assert (await browser.get(at + path)).status_code == 404


async def test_what_others_send_to_the_way_back_neither_logs_in_nor_ends_the_wait(guarded, kept):
    met: list[int] = []

    async def meddle(url: str) -> None:
        """Be a page that tries loopback ports, and only then the browser."""
        async with httpx.AsyncClient() as stranger:
            for query in ("error=access_denied", "code=theirs", "code=theirs&state=guessed"):
                answer = await stranger.get(f"{person.redirect_uri}?{query}")
                met.append(answer.status_code)
        await follow(url)

    async with open_browser(meddle) as person, pool_of(kept, person) as pool:
        await pool.list_all(server_at(guarded.url))
    assert met == [404, 404, 404]
    assert guarded.issuer.granted == 1
