"""What was too large to hand on at once: kept for a while, to be read on page by page.

In memory, bounded, apart for each key. Knows texts and no results.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from toolcrib_registry.errors import InvalidInput, NotFound

PREFIX: Final = "toolcrib://results/"
KEPT_S: Final = 900.0
PAGE_KEY: Final = "io.toolcrib/page"
"""In the ``_meta`` of what was read: which page it is, of how many, and where the next one is."""
_CAPACITY_BYTES = 64 * 1024 * 1024
_CONTINUES, _MASK = 0x80, 0xC0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A text that is kept, in pages of at most ``page_bytes``."""

    id: str
    principal: str
    text: bytes
    size: int
    """Of the whole, which may be more than is kept."""
    media_type: str
    page_bytes: int
    until: float

    @property
    def pages(self) -> int:
        """How many there are."""
        return max(1, -(-len(self.text) // self.page_bytes))

    def uri(self, page: int) -> str:
        """Say where a page can be read."""
        return f"{PREFIX}{self.id}?page={page}"

    def read(self, page: int) -> str:
        """Return a page, the first of which is 1; no character is parted."""
        start, end = self._edge(page - 1), self._edge(page)
        return self.text[start:end].decode("utf-8", "replace")

    def _edge(self, number: int) -> int:
        at = min(number * self.page_bytes, len(self.text))
        while 0 < at < len(self.text) and self.text[at] & _MASK == _CONTINUES:
            at -= 1
        return at


class ResultShelf:
    """Keeps texts. Belongs to the event loop; ``now`` is a monotonic clock, in seconds."""

    def __init__(
        self,
        *,
        capacity_bytes: int = _CAPACITY_BYTES,
        kept_s: float = KEPT_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._capacity = capacity_bytes
        self._kept_s = kept_s
        self._now = now
        self._kept: dict[str, Kept] = {}
        """The oldest first."""
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, principal: str, text: bytes, *, media_type: str, page_bytes: int) -> Kept:
        """Keep a text for whoever called; as much of it as there is room for at all."""
        kept = Kept(
            id=secrets.token_urlsafe(18),
            principal=principal,
            text=text[: self._capacity],
            size=len(text),
            media_type=media_type,
            page_bytes=page_bytes,
            until=self._now() + self._kept_s,
        )
        self._make_room(principal, len(kept.text))
        self._kept[kept.id] = kept
        self.bytes += len(kept.text)
        return kept

    def read(self, principal: str, uri: str) -> dict[str, Any]:
        """Read a page: the result object of ``resources/read``.

        Raises:
            NotFound: It is not kept, not any more, or not for who asks.
            InvalidInput: There is no such page.
        """
        id_, page = _parse(uri)
        self._drop_old()
        kept = self._kept.get(id_)
        if kept is None or kept.principal != principal:
            raise NotFound("kept result", id_)
        if not 1 <= page <= kept.pages:
            raise InvalidInput(f"{uri} has pages 1 to {kept.pages}.")
        return _rendered(kept, page)

    def _make_room(self, principal: str, size: int) -> None:
        self._drop_old()
        while self.bytes + size > self._capacity:
            self._drop(self._oldest_of(self._heaviest(principal, size)))

    def _heaviest(self, principal: str, size: int) -> str:
        """Name who has the most, counting what is to come: nobody is pushed out by another."""
        held: dict[str, int] = {principal: size}
        for kept in self._kept.values():
            held[kept.principal] = held.get(kept.principal, 0) + len(kept.text)
        holders = {kept.principal for kept in self._kept.values()}
        return max(holders, key=lambda name: held[name])

    def _oldest_of(self, principal: str) -> Kept:
        return next(kept for kept in self._kept.values() if kept.principal == principal)

    def _drop_old(self) -> None:
        now = self._now()
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if oldest.until > now:
                return
            self._drop(oldest)

    def _drop(self, kept: Kept) -> None:
        del self._kept[kept.id]
        self.bytes -= len(kept.text)


def _parse(uri: str) -> tuple[str, int]:
    parts = urlsplit(uri)
    pages = parse_qs(parts.query).get("page", ["1"])
    number = pages[-1]
    if len(number) > 9 or not number.isascii() or not number.isdigit():  # noqa: PLR2004  # no page
        raise InvalidInput(f"{uri[:200]} names no page; write {PREFIX}ID?page=2.")
    return parts.path.strip("/"), int(number)


def _rendered(kept: Kept, page: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "page": page,
        "pages": kept.pages,
        "bytes": kept.size,
        "keptBytes": len(kept.text),
    }
    if page < kept.pages:
        told["next"] = kept.uri(page + 1)
    contents: Mapping[str, Any] = {
        "uri": kept.uri(page),
        "mimeType": kept.media_type,
        "text": kept.read(page),
    }
    return {
        "resultType": "complete",
        "contents": [contents],
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {PAGE_KEY: told},
    }
