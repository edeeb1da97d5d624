"""Who may come in: keys, hosts and origins, for any ASGI application."""

import httpx
import pytest

from toolcrib_registry.errors import InvalidInput, NotAuthenticated
from toolcrib_server.guard import (
    LOOPBACK_HOSTS,
    ApiKey,
    HostGuard,
    KeyGuard,
    KeyRing,
    Principal,
    Role,
    principal_of,
)

pytestmark = pytest.mark.anyio

SECRET = "a-key-of-good-length"
RING = KeyRing([ApiKey("one", SECRET), ApiKey("two", SECRET + "2", Role.ADMIN)])


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    name = scope["toolcrib.principal"].name if "toolcrib.principal" in scope else "nobody"
    await send({"type": "http.response.body", "body": name.encode()})


async def get(app, *, headers=None, path="/"):
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8321") as http:
        return await http.get(path, headers=headers)


# --- keys ------------------------------------------------------------------------------------


def test_a_key_resolves_to_its_principal():
    assert RING.resolve(f"Bearer {SECRET}", client_host=None) == Principal("one", Role.USER)
    assert RING.resolve(f"BEARER {SECRET}2", client_host=None) == Principal("two", Role.ADMIN)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", SECRET, f"Basic {SECRET}", f"Bearer {SECRET}3", "Ä"]
)
def test_anything_else_is_refused_even_from_this_machine(header):
    with pytest.raises(NotAuthenticated):
        RING.resolve(header, client_host="127.0.0.1")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_without_keys_this_machine_is_its_own_administrator(host):
    principal = KeyRing().resolve(None, client_host=host)
    assert principal == Principal("local", Role.ADMIN)
    assert principal.actor == "api"


@pytest.mark.parametrize("host", [None, "", "192.0.2.1", "localhost.evil.example", "::"])
def test_without_keys_nobody_else_is_let_in(host):
    with pytest.raises(NotAuthenticated):
        KeyRing().resolve(None, client_host=host)


def test_a_key_does_not_show_when_printed():
    assert SECRET not in repr(ApiKey("one", SECRET))
    assert SECRET not in repr(vars(RING))


@pytest.mark.parametrize("name", ["local", "everyone"])
def test_a_key_may_not_have_a_name_that_means_something_else(name):
    with pytest.raises(InvalidInput, match=f"may not be named '{name}'"):
        ApiKey(name, SECRET)


async def test_the_guard_names_the_principal_or_refuses_with_a_problem():
    app = KeyGuard(hello, keys=RING, open_paths=["/healthz"])
    refused = await get(app)
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.json()["code"] == "not-authenticated"
    let_in = await get(app, headers={"Authorization": f"Bearer {SECRET}"})
    assert let_in.text == "one"
    assert (await get(app, path="/healthz")).text == "nobody"
    assert (await get(app, path="/healthz/")).status_code == 401


def test_a_request_that_no_guard_saw_has_no_principal():
    with pytest.raises(NotAuthenticated):
        principal_of({"type": "http"})


async def test_a_refused_websocket_is_closed():
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/", "headers": [], "client": None}
    await KeyGuard(hello, keys=RING)(scope, receive, send)
    await HostGuard(hello, hosts=LOOPBACK_HOSTS)(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"] * 2


async def test_lifespan_passes_both_guards():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    async def receive():
        return {}

    async def send(message):
        raise AssertionError(message)

    guarded = HostGuard(KeyGuard(app, keys=RING), hosts=LOOPBACK_HOSTS)
    await guarded({"type": "lifespan"}, receive, send)
    assert seen == ["lifespan"]


# --- hosts and origins -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8321", 200),
        ("127.0.0.1:9", 200),
        ("[::1]:8321", 200),
        ("[::1]", 200),
        ("gate.example:8443", 200),
        ("gate.example:8444", 421),
        ("gate.example", 421),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("evil.example:localhost", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
async def test_a_host_that_is_not_ours_is_misdirected(host, status):
    app = HostGuard(hello, hosts=[*LOOPBACK_HOSTS, "Gate.example:8443"])
    answer = await get(app, headers={"Host": host})
    assert answer.status_code == status
    if status == 421:
        assert answer.json()["status"] == 421


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://localhost:3000", 200),
        ("http://127.0.0.1:8321", 200),
        ("https://App.example.com", 200),
        ("https://app.example.com:444", 403),
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("null", 403),
        ("file://localhost", 403),
        ("http://[", 403),
        ("", 403),
    ],
)
async def test_a_page_of_another_site_is_refused(origin, status):
    app = HostGuard(hello, hosts=LOOPBACK_HOSTS, origins=["https://app.example.com/"])
    headers = {} if origin is None else {"Origin": origin}
    assert (await get(app, headers=headers)).status_code == status


async def test_any_host_may_be_allowed_without_allowing_any_page():
    app = HostGuard(hello, hosts=["*"])
    assert (await get(app, headers={"Host": "whatever.example"})).status_code == 200
    foreign = {"Host": "whatever.example", "Origin": "https://evil.example"}
    assert (await get(app, headers=foreign)).status_code == 403


async def test_two_hosts_are_none():
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request"}

    headers = [(b"host", b"localhost"), (b"host", b"evil.example")]
    scope = {"type": "http", "path": "/", "headers": headers, "client": None}
    await HostGuard(hello, hosts=LOOPBACK_HOSTS)(scope, receive, send)
    assert sent[0]["status"] == 421
