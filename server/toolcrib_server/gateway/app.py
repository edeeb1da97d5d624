"""Builds the service at ``/mcp`` from parts that are open already."""

from __future__ import annotations

from toolcrib_registry.store import Store
from toolcrib_server.invocation.invoker import Invoker

from .following import Following
from .handlers import MetaTools
from .holdings import Shelf
from .lists import Lists
from .news import News
from .relaying import EntryRelay, FindServer
from .service import MetaService, Parts, Reach
from .sources import Links, Sources


def build_service(
    store: Store,
    *,
    meta: MetaTools,
    links: Links,
    find_server: FindServer,
    invoker: Invoker,
    reach: Reach,
    version: str,
) -> MetaService:
    """Build it. ``links`` are those that the tools of ``meta`` give out."""
    shelf, news = Shelf(store), News()
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
