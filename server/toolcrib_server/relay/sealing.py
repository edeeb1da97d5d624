"""Encrypts what a client carries for us, so that it can neither be read nor altered nor outlive us.

Knows keys and time; does not know what is sealed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from toolcrib_registry.types import JsonObject

_FORM = b"\x01"
"""Of what follows: a key's mark, a nonce, then AES-256-GCM over deflated JSON."""
_MARK_BYTES = 4
_NONCE_BYTES = 12
_HEAD_BYTES = 1 + _MARK_BYTES + _NONCE_BYTES
_LARGEST_OPENED = 16 * 1024 * 1024


class SealError(Exception):
    """Something cannot be sealed or opened. ``reason`` completes the sentence 'the state …'."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Seal:
    """Seals with the first of its keys, opens with any: so keys can be changed one after another.

    Nonces are random: a key is good for some four billion seals.
    """

    def __init__(
        self,
        keys: Sequence[str],
        *,
        max_chars: int = 512 * 1024,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``max_chars`` is the longest sealed text, made or taken.

        Raises:
            ValueError: There is no key.
        """
        if not keys:
            raise ValueError("a seal needs a key")
        self._keys = {mark: AESGCM(key) for mark, key in map(_derive, reversed(keys))}
        self._sealing = _derive(keys[0])[0]
        self._max_chars = max_chars
        self._now = now

    def seal(self, content: JsonObject, *, ttl_s: float) -> str:
        """Seal ``content``, to be opened within ``ttl_s``.

        Raises:
            SealError: It is too large.
        """
        written = json.dumps([self._now() + ttl_s, content], separators=(",", ":"))
        nonce = os.urandom(_NONCE_BYTES)
        head = _FORM + self._sealing
        packed = zlib.compress(written.encode())
        closed = self._keys[self._sealing].encrypt(nonce, packed, head)
        sealed = base64.urlsafe_b64encode(head + nonce + closed).rstrip(b"=").decode()
        if len(sealed) > self._max_chars or len(written) > _LARGEST_OPENED:
            raise SealError(f"is too large to be sealed; the limit is {self._max_chars} characters")
        return sealed

    def open(self, sealed: str) -> dict[str, Any]:
        """Open what was sealed here, or by whoever has one of the keys.

        Raises:
            SealError: It was not, it was altered, or its time is over.
        """
        raw = self._decode(sealed)
        head, nonce = raw[: len(_FORM) + _MARK_BYTES], raw[len(_FORM) + _MARK_BYTES : _HEAD_BYTES]
        key = self._keys.get(head[len(_FORM) :])
        if head[: len(_FORM)] != _FORM or key is None:
            raise SealError("was not made by this Toolcrib, or its key is no longer in use")
        try:
            packed = key.decrypt(nonce, raw[_HEAD_BYTES:], head)
        except InvalidTag:
            raise SealError("has been altered") from None
        until, content = _read(packed)
        if self._now() > until:
            raise SealError("has expired")
        return content

    def _decode(self, sealed: str) -> bytes:
        if len(sealed) > self._max_chars:
            raise SealError("is longer than any that was given out")
        try:
            # Only one spelling of the same bytes is taken.
            raw = base64.b64decode(sealed + "=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise SealError("was not made by this Toolcrib") from None
        if len(raw) <= _HEAD_BYTES or base64.urlsafe_b64encode(raw).rstrip(b"=") != sealed.encode():
            raise SealError("was not made by this Toolcrib")
        return raw


def _derive(key: str) -> tuple[bytes, bytes]:
    """Make of a configured key its mark, which may be shown, and the key to work with."""
    secret = key.encode()
    mark = hashlib.sha256(b"toolcrib state mark\0" + secret).digest()[:_MARK_BYTES]
    return mark, hashlib.sha256(b"toolcrib state key\0" + secret).digest()


def _read(packed: bytes) -> tuple[float, dict[str, Any]]:
    # Authenticated: whoever wrote it had the key. Bounded all the same.
    written = zlib.decompressobj().decompress(packed, _LARGEST_OPENED)
    until, content = cast("tuple[float, dict[str, Any]]", tuple(json.loads(written)))
    return until, content
