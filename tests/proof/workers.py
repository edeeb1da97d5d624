"""One process that syncs, as far as the database can tell: it can be held, or die, at any step.

A step is what lies between two calls of the store, the upstream or the encoder. What is dead does
nothing more: no clean-up, no release, as after SIGKILL.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.to_thread

from toolcrib_embeddings.encoding.encoder import Progress
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_embeddings.vectors import FloatMatrix
from toolcrib_registry.errors import EncoderError
from toolcrib_registry.store import Store
from toolcrib_registry.types import Server, ServerName
from toolcrib_server.sync.health import IndexGuard
from toolcrib_server.sync.indexer import Indexer
from toolcrib_server.sync.reconcile import Lister, Reconciler
from toolcrib_server.sync.trust_review import TrustReview
from toolcrib_server.upstream.lists.listing import Listing

_PATIENCE_S = 20.0


class Died(BaseException):
    """The process was killed here. No handler of the product may catch it."""


class Fuse:
    """Counts the steps of a worker; at a given one it dies, or waits to be let go."""

    def __init__(self) -> None:
        self.passed = 0
        self.is_dead = False
        self._dies_at = 0
        self._holds_at = 0
        self._held = threading.Event()
        self._released = threading.Event()
        self._loop_thread = threading.get_ident()
        self._counting = threading.Lock()

    def die_after(self, steps: int) -> None:
        self._dies_at = self.passed + steps

    def hold_after(self, steps: int) -> None:
        self._held.clear()
        self._released.clear()
        self._holds_at = self.passed + steps

    async def wait_held(self) -> None:
        await anyio.to_thread.run_sync(self._held.wait, _PATIENCE_S)

    @property
    def is_held(self) -> bool:
        return self._held.is_set() and not self._released.is_set()

    def release(self) -> None:
        """Let it go on; and let nobody wait for a step that it never came to."""
        self._holds_at = 0
        self._held.set()
        self._released.set()

    def step(self) -> None:
        if self.is_dead:
            raise Died
        with self._counting:
            self.passed += 1
            at = self.passed
        if at == self._dies_at:
            self.is_dead = True
            raise Died
        if at == self._holds_at and threading.get_ident() != self._loop_thread:
            self._held.set()
            assert self._released.wait(_PATIENCE_S)


class _GuardedStore:
    """A store, or a part of one, whose every call is two steps: one before it, one after."""

    def __init__(self, store: object, fuse: Fuse) -> None:
        self._store = store
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if not callable(method):
            return _GuardedStore(method, self._fuse)

        def guarded(*args: Any, **kwargs: Any) -> Any:
            self._fuse.step()
            result = method(*args, **kwargs)
            self._fuse.step()
            return result

        return guarded


class _GuardedLister:
    def __init__(self, lister: Lister, fuse: Fuse) -> None:
        self._lister = lister
        self._fuse = fuse

    async def list_all(self, server: Server, *, known_digest: str | None = None) -> Listing:
        self._fuse.step()
        listing = await self._lister.list_all(server, known_digest=known_digest)
        self._fuse.step()
        return listing

    async def aclose_server(self, name: ServerName) -> None:
        await self._lister.aclose_server(name)


class FlakyEncoder(HashEncoder):
    """Fails while it is told to; each text is a step."""

    def __init__(self, fuse: Fuse) -> None:
        super().__init__(64)
        self._fuse = fuse
        self.is_broken = False

    def encode(self, texts: Sequence[str], *, on_progress: Progress | None = None) -> FloatMatrix:
        self._fuse.step()
        if self.is_broken:
            raise EncoderError("the encoder was told to fail")
        return super().encode(texts, on_progress=on_progress)


class Worker:
    """A reconciler with its own index, over a database and upstreams that others use as well."""

    def __init__(self, store: Store, lister: Lister, folder: Path) -> None:
        self._real = store
        self._lister = lister
        self.folder = folder
        self.has_lapsed = False
        """Whether its encoder has failed since its index was last known to be whole."""
        self.start()

    def break_encoder(self) -> None:
        self.encoder.is_broken = self.has_lapsed = True

    def start(self) -> None:
        """Begin anew, as a new process would: nothing is left but what is on the disk."""
        self.fuse = Fuse()
        self.encoder = FlakyEncoder(self.fuse)
        store = cast("Store", _GuardedStore(self._real, self.fuse))
        lister = _GuardedLister(self._lister, self.fuse)
        encoder = self.encoder
        self.indexer = Indexer(store, open_encoder=lambda: encoder, folder=self.folder)
        self.guard = IndexGuard(store, self.indexer)
        self.reconciler = Reconciler(
            store,
            lister,
            self.indexer,
            review=TrustReview(store),
            concurrency=1,
            confirm_after_s=0.0,
        )
