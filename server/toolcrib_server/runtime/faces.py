"""Wires what the faces are built of: the gateway, the views, and one service for each server."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.metadata import version as installed_version

from toolcrib_registry.store import Store
from toolcrib_server.chat.desk import ChatDesk
from toolcrib_server.downstream.places import Directory, PlaceKind
from toolcrib_server.gateway.app import build_service
from toolcrib_server.gateway.handlers import MetaTools
from toolcrib_server.gateway.relaying import ToolRelay
from toolcrib_server.gateway.service import MetaService
from toolcrib_server.gateway.sources import Links
from toolcrib_server.gateway.views import Scope, Views, find_view, searching_tools
from toolcrib_server.invocation.invoker import Invoker
from toolcrib_server.learning.desk import FeedbackDesk
from toolcrib_server.relay.inputs import Inputs
from toolcrib_server.relay.keys import load_state_keys
from toolcrib_server.relay.news import Newsroom
from toolcrib_server.relay.sealing import Seal
from toolcrib_server.relay.servers import ServerServices
from toolcrib_server.routing.selector import RoutedSelector
from toolcrib_server.selection.selector import Selector
from toolcrib_server.selection.tokens import TokenCounter
from toolcrib_server.settings import Settings
from toolcrib_server.upstream.pool.pool import ConnectionPool
from toolcrib_server.views.desk import ViewDesk
from toolcrib_server.views.resolving import Resolver


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """What clients are served by."""

    gateway: MetaService
    directory: Directory
    views: Views
    view_desk: ViewDesk
    inputs: Inputs
    servers: ServerServices
    news: Newsroom


def build_faces(
    settings: Settings,
    store: Store,
    pool: ConnectionPool,
    invoker: Invoker,
    *,
    selector: Selector,
    models: RoutedSelector,
    chat: ChatDesk,
    feedback: FeedbackDesk,
) -> Faces:
    """Wire the parts."""
    count_tokens = TokenCounter()
    inputs, links, news = Inputs(partial(_open_seal, settings)), Links(), Newsroom(store)
    make_meta = partial(
        MetaTools,
        store=store,
        selector=selector,
        models=models,
        relay=ToolRelay(store, invoker, inputs, links),
        chat=chat,
        count_tokens=count_tokens,
        note_search=feedback.note_search,
    )
    servers = ServerServices(store, invoker, pool, inputs, news)
    resolver = Resolver(store, count_tokens)
    views = Views(
        store,
        resolver,
        make_meta=lambda lens, links: make_meta(
            relay=ToolRelay(store, invoker, inputs, links), lens=lens
        ),
        make_scope=lambda look: Scope.of(store, look, servers.get, invoker, invoker.allows),
        reach=pool,
        version=read_version(),
    )
    gateway = build_service(
        store,
        meta=make_meta(),
        links=links,
        news=news.everything,
        find_server=servers.get,
        invoker=invoker,
        reach=pool,
        version=read_version(),
    )
    view_desk = ViewDesk(
        store,
        resolver,
        count_tokens=count_tokens,
        searching_tools=searching_tools,
        on_change=views.renew,
    )
    return Faces(
        gateway=gateway,
        directory=_directory(gateway, views, servers),
        views=views,
        view_desk=view_desk,
        inputs=inputs,
        servers=servers,
        news=news,
    )


def _directory(gateway: MetaService, views: Views, servers: ServerServices) -> Directory:
    directory = Directory(gateway)
    directory.add(PlaceKind.VIEW, partial(find_view, views))
    directory.add(PlaceKind.SERVER, servers.get)
    return directory


def _open_seal(settings: Settings) -> Seal:
    configured = [key.get_secret_value() for key in settings.state_keys]
    return Seal(load_state_keys(settings.data_dir, configured))


def read_version() -> str:
    """Read the installed version of Toolcrib."""
    return installed_version("toolcrib")
