"""Where answers are kept: in memory, for a while, and no more than there is room for.

Apart for each tenant: one never finds, forgets or drives out what is another's, unless it alone
holds more than a fair share. Knows no model, and not what makes two questions the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from toolcrib_registry.types import JsonObject, canonical_json

from .worth import Worth

if TYPE_CHECKING:
    # Numpy is slow to import: it comes with the first vector.
    import numpy as np
    from numpy.typing import NDArray

_OVERHEAD_BYTES: Final = 2_000
_BYTES_PER_CHAR: Final = 2
_BYTES_PER_NUMBER: Final = 4
_LARGEST_SHARE: Final = 8
"""An answer larger than this part of the room is not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer, and what it answers."""

    key: str
    scope: str
    text: str | None
    vector: NDArray[np.float32] | None = field(repr=False)
    answer: JsonObject = field(repr=False)
    offer: str
    """Who gave it: `offer_key`."""
    model: str
    provider: str | None
    cost_usd: float | None
    at: float
    """By the cache's clock."""
    size: int
    family: str | None = None
    """What it is an example for: requests of the same form, for the same readers."""
    is_open: bool = False
    """Whether who asked left open which model would read it."""
    sizes: tuple[float | None, float | None] = (None, None)
    """How large the model is that gave it: parameters, price."""
    serves: bool = True
    """Whether it may be given again; else it is an example alone."""
    taught_by: tuple[str, ...] = ()
    """The keys of the examples that it was given with."""
    worth: Worth = field(default_factory=Worth)


@dataclass(slots=True)
class _Tenant:
    """What is one tenant's; whatever was used longest ago comes first."""

    kept: OrderedDict[str, Kept] = field(default_factory=OrderedDict[str, Kept])
    scopes: dict[str, dict[str, Kept]] = field(default_factory=dict[str, dict[str, Kept]])
    """By what else was asked, and by family, whichever a search is for."""
    bytes: int = 0


class AnswerShelf:
    """Keeps answers. Belongs to the event loop. ``room_bytes`` is for all tenants together."""

    def __init__(self, *, room_bytes: int, ttl_s: float) -> None:
        self._room = room_bytes
        self._ttl_s = ttl_s
        self._tenants: dict[str, _Tenant] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return sum(len(tenant.kept) for tenant in self._tenants.values())

    def find(self, tenant: str, key: str, *, now: float) -> Kept | None:
        """Find what is kept for exactly this question, and still young enough."""
        shelf = self._tenants.get(tenant)
        kept = shelf.kept.get(key) if shelf else None
        if shelf is None or kept is None:
            return None
        if self._is_old(kept, now):
            self._drop(tenant, key)
            return None
        if not kept.serves:
            return None
        shelf.kept.move_to_end(key)
        return kept

    def near(
        self,
        tenant: str,
        scope: str,
        vector: NDArray[np.float32],
        *,
        least: float,
        most: int,
        now: float,
    ) -> list[tuple[float, Kept]]:
        """List what is kept of a scope and at least so similar, the most similar first."""
        import numpy as np  # noqa: PLC0415  # slow to import; only nearness needs it

        shelf = self._tenants.get(tenant)
        own = list(shelf.scopes.get(scope, {}).values()) if shelf else []
        own = [kept for kept in own if not self._is_old(kept, now)]
        vectors = [kept.vector for kept in own if kept.vector is not None]
        if not vectors or len(vectors[0]) != len(vector):
            return []
        likeness = np.stack(vectors) @ vector
        ranked = np.argsort(-likeness, kind="stable")[:most]
        return [(float(likeness[i]), own[i]) for i in ranked if likeness[i] >= least]

    def touch(self, tenant: str, kept: Kept) -> None:
        """Say that an answer was of use."""
        shelf = self._tenants.get(tenant)
        if shelf and kept.key in shelf.kept:
            shelf.kept.move_to_end(kept.key)

    def keep(self, tenant: str, kept: Kept) -> bool:
        """Keep an answer in the place of an older one; whether there is room for one so large."""
        if kept.size > self._room // _LARGEST_SHARE:
            return False
        shelf = self._tenants.setdefault(tenant, _Tenant())
        if kept.key in shelf.kept:
            self._drop(tenant, kept.key)
            shelf = self._tenants.setdefault(tenant, shelf)
        shelf.kept[kept.key] = kept
        for scope in _places(kept):
            shelf.scopes.setdefault(scope, {})[kept.key] = kept
        shelf.bytes += kept.size
        self.bytes += kept.size
        while self.bytes > self._room:
            self._make_room()
        return True

    def list_kept(self, tenant: str) -> tuple[Kept, ...]:
        """List all that is a tenant's, whatever was used longest ago first."""
        shelf = self._tenants.get(tenant)
        return tuple(shelf.kept.values()) if shelf else ()

    def credit(self, tenant: str, keys: Collection[str], *, good: bool) -> None:
        """Say of answers whether they, or what they helped to, were good."""
        shelf = self._tenants.get(tenant)
        for key in keys:
            kept = shelf.kept.get(key) if shelf else None
            if kept is not None:
                kept.worth.note(good=good)

    def forget(self, tenant: str | None = None) -> int:
        """Forget a tenant's answers, or all; returns how many."""
        names = list(self._tenants) if tenant is None else [tenant]
        gone = [self._tenants.pop(name) for name in names if name in self._tenants]
        self.bytes -= sum(shelf.bytes for shelf in gone)
        return sum(len(shelf.kept) for shelf in gone)

    def prune(self, *, now: float) -> None:
        """Drop everything that is too old."""
        for name, shelf in list(self._tenants.items()):
            for key in [key for key, kept in shelf.kept.items() if self._is_old(kept, now)]:
                self._drop(name, key)

    def _make_room(self) -> None:
        """Drop what was used longest ago of whoever holds most."""
        largest = max(self._tenants, key=lambda name: self._tenants[name].bytes)
        self._drop(largest, next(iter(self._tenants[largest].kept)))

    def _drop(self, tenant: str, key: str) -> None:
        shelf = self._tenants[tenant]
        kept = shelf.kept.pop(key)
        shelf.bytes -= kept.size
        self.bytes -= kept.size
        for scope in _places(kept):
            those = shelf.scopes.get(scope, {})
            those.pop(key, None)
            if not those:
                shelf.scopes.pop(scope, None)
        if not shelf.kept:
            del self._tenants[tenant]

    def _is_old(self, kept: Kept, now: float) -> bool:
        return now - kept.at >= self._ttl_s


def _places(kept: Kept) -> tuple[str, ...]:
    """Name what it is found by when something like it is searched for."""
    if kept.vector is None:
        return ()
    own = (kept.scope,) if kept.serves else ()
    return own if kept.family is None else (*own, kept.family)


def weigh(answer: JsonObject, text: str | None, numbers: int) -> int:
    """Estimate the bytes that an answer takes in memory, from above for ordinary text."""
    chars = len(text or "") + len(canonical_json(answer))
    return chars * _BYTES_PER_CHAR + numbers * _BYTES_PER_NUMBER + _OVERHEAD_BYTES
