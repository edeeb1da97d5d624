"""Builds the service at ``/mcp`` from parts that are open already."""

from __future__ import annotations

from toolcrib_registry.store import Store
from toolcrib_server.invocation.invoker import Invoker
from toolcrib_server.relay.news import News

from .following import Following
from .handlers import MetaTools
from .holdings import Shelf
from .lists import Lists
from .relaying import EntryRelay, FindServer
from .service import MetaService, Parts, Reach
from .sources import Links, Sources


def build_service(
    store: Store,
    *,
    meta: MetaTools,
    links: Links,
    news: News,
    find_server: FindServer,
    invoker: Invoker,
    reach: Reach,
    version: str,
) -> MetaService:
    """Build it. ``links`` are those that the tools of ``meta`` give out.

    ``news`` is of the prompts and resources of all servers.
    """
    shelf = Shelf(store)
    sources = Sources(store, shelf, links)
    parts = Parts(
        meta=meta,
        shelf=shelf,
        lists=Lists(store, shelf, invoker.allows),
        entries=EntryRelay(sources, links, find_server, invoker),
        following=Following(news, sources, find_server),
        news=news,
    )
    return MetaService(store, parts, reach, version=version)
