"""A server may name where to log in, but not make this process ask its neighbours."""

import httpx2
import pytest

from toolcrib_server.upstream.failures import BadAnswer
from toolcrib_server.upstream.oauth.browser import open_browser
from toolcrib_server.upstream.oauth.errands import Errands, is_near
from toolcrib_server.upstream.oauth.flow import Guided

pytestmark = pytest.mark.anyio

FAR = "https://mcp.example.com/mcp"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/x",
        "http://localhost/x",
        "http://LOCALHOST./x",
        "https://a.localhost/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://10.0.0.7/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://0.0.0.0/",
    ],
)
async def test_addresses_of_this_network_are_not_asked_for_a_server_elsewhere(url):
    assert is_near(url)
    async with httpx2.AsyncClient() as client:
        with pytest.raises(BadAnswer, match="address of this machine"):
            await Errands(client, FAR).send(httpx2.Request("GET", url))


@pytest.mark.parametrize("url", ["http://login.example.com/x", "ftp://login.example.com/x"])
async def test_a_login_without_tls_is_refused(url):
    async with httpx2.AsyncClient() as client:
        with pytest.raises(BadAnswer, match="without TLS"):
            await Errands(client, FAR).send(httpx2.Request("GET", url))


@pytest.mark.parametrize(
    "page", ["http://192.168.1.1/reboot", "http://login.example.com/x", "https://127.0.0.1/x"]
)
async def test_nobody_is_sent_to_an_address_that_a_login_may_not_ask(page):
    shown: list[str] = []

    async def show(url: str) -> None:
        shown.append(url)

    async with httpx2.AsyncClient() as client, open_browser(show) as person:
        guided = Guided(person, Errands(client, FAR))
        with pytest.raises(BadAnswer):
            await guided.visit(page)
        await guided.visit("https://login.example.com/x?state=s")
    assert shown == ["https://login.example.com/x?state=s"]
