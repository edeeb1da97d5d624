"""Where MCP endpoints are: the registry's, single servers' and views'; who finds what is behind."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from .response import Scope
from .service import Service

ROOTS = frozenset({"/mcp", "/mcp/"})
"""Where the whole registry is served."""
FindNamed = Callable[[str], Awaitable[Service | None]]
"""Finds a service by its name; None, or `NotFound` with near names: there is none."""

_PATH = re.compile(r"/(?:servers/(?P<server>[^/]+)/mcp|mcp/v/(?P<view>[^/]+))/?")


class PlaceKind(StrEnum):
    """What is behind an endpoint."""

    SERVER = "server"
    VIEW = "view"


@dataclass(frozen=True, slots=True)
class Place:
    """One endpoint."""

    kind: PlaceKind
    name: str


def find_place(path: str) -> Place | None:
    """Return the endpoint at a path; None if there can be none."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    if found["server"] is not None:
        return Place(PlaceKind.SERVER, found["server"])
    return Place(PlaceKind.VIEW, found["view"])


def is_endpoint(path: str) -> bool:
    """Whether MCP is served at a path, or could be."""
    return path in ROOTS or find_place(path) is not None


class Directory:
    """Finds the service behind a path, with whoever answers for its kind."""

    def __init__(self, root: Service | None = None) -> None:
        """``root`` is the service of the whole registry."""
        self._root = root
        self._kinds: dict[PlaceKind, FindNamed] = {}

    def add(self, kind: PlaceKind, find: FindNamed) -> None:
        """Let ``find`` answer for all endpoints of a kind."""
        self._kinds[kind] = find

    async def find(self, scope: Scope) -> Service | None:
        """Return the service that a request is for.

        Raises:
            NotFound: There is none; near names are offered.
        """
        if scope["path"] in ROOTS:
            return self._root
        place = find_place(scope["path"])
        find = None if place is None else self._kinds.get(place.kind)
        return None if place is None or find is None else await find(place.name)
