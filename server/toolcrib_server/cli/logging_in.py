"""Logging in at servers that demand it: ``login``, ``logout``."""

from __future__ import annotations

import os
import webbrowser
from functools import partial
from typing import Annotated
from urllib.parse import urlsplit

import anyio.to_thread
import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import HttpTransport, Server, ServerName, SseTransport
from toolcrib_server.runtime import Runtime
from toolcrib_server.upstream.config.references import resolve
from toolcrib_server.upstream.oauth.browser import Browser, open_browser
from toolcrib_server.upstream.oauth.login import Challenge, Login
from toolcrib_server.upstream.oauth.logins import Logins
from toolcrib_server.upstream.pool.pool import ConnectionPool

from .options import AsJson
from .output import print_json, print_line, print_note
from .running import ACTOR, EXIT_UPSTREAM, run

_SERVER = Annotated[str, typer.Argument(help="A registered server, reached by a URL.")]


def login(
    name: _SERVER,
    client_id: Annotated[
        str | None, typer.Option(help="Of an app that you registered there; else one is made.")
    ] = None,
    client_secret_env: Annotated[
        str | None, typer.Option(metavar="VAR", help="The variable that holds its secret.")
    ] = None,
    machine: Annotated[
        bool, typer.Option("--machine", help="The app logs in by itself; no person is asked.")
    ] = False,
    scope: Annotated[
        str | None, typer.Option(help="What to ask for; else what the server suggests.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of this machine, for the browser's way back.")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open it, or only print the address.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Log in at a server with OAuth; tokens are renewed from then on.

    Example: toolcrib login github
    """
    secret = _secret(client_secret_env)
    if machine and not (client_id and secret):
        raise InvalidInput("--machine needs --client-id and --client-secret-env.")

    async def work(runtime: Runtime) -> None:
        server = await _find(runtime, name)
        kept = _login_at(runtime, server)
        if client_id is not None:
            grant = "client_credentials" if machine else "authorization_code"
            await kept.keep_app(client_id, secret, grant=grant, scope=scope)
        elif scope is not None:
            await kept.set_grant("authorization_code", scope=scope)
        show = partial(_show, opens=browser)
        async with open_browser(show, port=port or await _known_port(kept)) as person:
            await _log_in(runtime, server, kept, None if machine else person)
        reports = await runtime.reconciler.sync([server.name], actor=ACTOR)
        _tell(kept, server.name, reports[0].error, as_json=as_json)

    run(work)


def logout(name: _SERVER, as_json: AsJson = False) -> None:
    """Forget the login at a server. What the server keeps of it is its own."""

    async def work(runtime: Runtime) -> None:
        server = await _find(runtime, name)
        had = await _login_at(runtime, server).forget()
        if as_json:
            print_json({"server": server.name, "loggedOut": had})
        else:
            print_line(f"Logged out of {name}." if had else f"There is no login at {name}.")

    run(work)


async def _find(runtime: Runtime, name: str) -> Server:
    server = await anyio.to_thread.run_sync(runtime.store.get_server, ServerName(name))
    if not isinstance(server.transport, HttpTransport | SseTransport):
        raise InvalidInput(f"{name} is not reached by a URL, so there is nowhere to log in.")
    if any(header.lower() == "authorization" for header in server.transport.headers):
        raise InvalidInput(
            f"{name} has an Authorization header of its own; remove it to log in instead: "
            f"toolcrib add {name} --url {server.transport.url} --replace"
        )
    return server


def _login_at(runtime: Runtime, server: Server) -> Login:
    transport = _resolved(runtime, server)
    return Logins(runtime.secrets).login_at(server.name, transport.url)


def _resolved(runtime: Runtime, server: Server) -> HttpTransport | SseTransport:
    transport = resolve(server, env=os.environ, secrets=runtime.secrets).transport
    assert isinstance(transport, HttpTransport | SseTransport)
    return transport


def _secret(variable: str | None) -> str | None:
    if variable is None:
        return None
    value = os.environ.get(variable)
    if not value:
        raise InvalidInput(f"The environment variable {variable} is not set, or is empty.")
    return value


async def _known_port(kept: Login) -> int:
    """Return the port that we are registered with: not every server takes another."""
    known = await kept.get_client_info()
    uris = (known.redirect_uris if known else None) or []
    return next((port for uri in uris if (port := urlsplit(str(uri)).port)), 0)


async def _show(url: str, *, opens: bool) -> None:
    print_note(f"Log in here: {url}")
    if opens:
        await anyio.to_thread.run_sync(webbrowser.open, url)


async def _log_in(runtime: Runtime, server: Server, kept: Login, person: Browser | None) -> None:
    """Go where the server demands a login, or where it demanded more rights before."""
    logins = Logins(
        runtime.secrets,
        client_metadata_url=runtime.settings.oauth_client_metadata_url,
        person=person,
    )
    refused = kept.challenge()
    if refused is not None and person is not None:
        authorizer = logins.find(server.name, _resolved(runtime, server))
        assert authorizer is not None
        await authorizer.answer(refused, _shown(kept, refused))
        return
    async with ConnectionPool(secrets=runtime.secrets, logins=logins) as pool:
        await pool.list_all(server)


def _shown(kept: Login, refused: Challenge) -> str | None:
    token = kept.bearer()
    return f"Bearer {token}" if token and refused.wants_scope else None


def _tell(kept: Login, name: str, error: str | None, *, as_json: bool) -> None:
    is_in = kept.bearer() is not None
    if as_json:
        print_json({"server": name, "loggedIn": is_in, "error": error})
    elif error is not None:
        print_note(f"{name}: {error}")
    elif is_in:
        print_line(f"Logged in at {name}; its entries are up to date.")
    else:
        print_line(f"{name} demands no login.")
    if error is not None:
        raise typer.Exit(EXIT_UPSTREAM)
