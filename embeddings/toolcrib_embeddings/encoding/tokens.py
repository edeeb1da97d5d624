"""Token vectors: what late interaction keeps of a text, some 96 bytes for each of its first tokens.

A small trained map takes an encoder's token states to short unit vectors, which are rounded to
eight bits. Their inner products are whole numbers, so that equal texts have equal scores on every
machine. Beside its vector each token has the number of its word piece, for what rare words weigh.
Knows arrays and files; no index, no model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.vectors import multiply
from toolcrib_registry.errors import EncoderError

from .tensor_file import SUFFIX, open_tensors, save_tensors

TokenMatrix: TypeAlias = NDArray[np.int8]
"""A row for each token of a text, in their order: a unit vector, `SCALE` for 1, and two bytes more
for the number of its word piece; see `vectors` and `pieces`."""

SCALE: Final = 127
MOST_PIECES: Final = 2**16
"""Of a vocabulary: two bytes hold their number."""
_PIECE_BYTES: Final = 2
_FORMAT: Final = "toolcrib-late-1"
_HEAD: Final = "head"
_RARITY: Final = "rarity"
_MATRIX: Final = 2
_SMALLEST_LENGTH: Final = 1e-9
_MOST_TOKENS: Final = 512
_WIDEST: Final = 1_024
"""Numbers a token; below it, a sum of products of two bytes is exact in single precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHead:
    """A linear map from one encoder's token states to short vectors."""

    encoder_id: str
    """Whose states it reads: an encoder's id, or the beginning of one, to mean it tuned as well."""
    matrix: NDArray[np.float32]
    """Shape ``(the encoder's dimension, numbers a token)``."""
    rarity: NDArray[np.float32]
    """By the number of a word piece, minus the logarithm of the share of texts that hold it."""
    tokens: int
    """How many of a document's first tokens are kept."""
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """How it was made: JSON data, for people."""

    def reads(self, encoder_id: str) -> bool:
        """Tell whether it reads the states of an encoder."""
        return _means(self.encoder_id, encoder_id)

    def name(self, encoder_id: str) -> str:
        """Name what it makes of an encoder's states: two of one name give the same vectors."""
        held = self.matrix.astype("<f4").tobytes() + self.rarity.astype("<f4").tobytes()
        digest = hashlib.sha256(b"%d\0" % self.tokens + held).hexdigest()
        return f"{encoder_id}/tokens-{self.matrix.shape[1]}x{self.tokens}-{digest[:8]}"

    def compress(self, states: NDArray[np.float32], ids: NDArray[np.int32]) -> TokenMatrix:
        """Turn the states of tokens, and the numbers of their word pieces, into token vectors."""
        short = np.rint(SCALE * _unit(multiply(_unit(states), self.matrix))).astype(np.int8)
        numbers = np.minimum(ids, len(self.rarity) - 1).astype("<u2")
        return np.hstack((short, numbers[:, None].view(np.int8)))

    def dump(self, file: Path) -> None:
        """Write it, rounded to half precision.

        Raises:
            OSError: it cannot be written.
        """
        said = {"encoder_id": self.encoder_id, "tokens": str(self.tokens)}
        held = {_HEAD: self.matrix, _RARITY: self.rarity}
        halves = {name: values.astype(np.float16) for name, values in held.items()}
        save_tensors(file, halves, {**said, "recipe": json.dumps(dict(self.recipe))}, form=_FORMAT)

    @classmethod
    def load(cls, file: Path) -> TokenHead:
        """Read one whole.

        Raises:
            EncoderError: it is missing, damaged or no head.
        """
        with open_tensors(file, form=_FORMAT) as (tensors, said):
            head = cls(
                encoder_id=said["encoder_id"],
                matrix=tensors.get_tensor(_HEAD).astype(np.float32),
                rarity=tensors.get_tensor(_RARITY).astype(np.float32),
                tokens=int(said["tokens"]),
                recipe=json.loads(said.get("recipe", "{}")),
            )
        _check(head, file)
        return head


def vectors(rows: TokenMatrix) -> NDArray[np.int8]:
    """Return the vectors of tokens."""
    return rows[:, :-_PIECE_BYTES]


def pieces(rows: TokenMatrix) -> NDArray[np.uint16]:
    """Return the numbers of tokens' word pieces."""
    return np.ascontiguousarray(rows[:, -_PIECE_BYTES:]).view("<u2").reshape(-1)


def dump_tokens(matrix: TokenMatrix) -> bytes:
    """Render token vectors as bytes: how many numbers each has, and the numbers."""
    return matrix.shape[1].to_bytes(2, "little") + matrix.tobytes()


def load_tokens(raw: bytes) -> TokenMatrix:
    """Read what `dump_tokens` gave, without copying it.

    Raises:
        ValueError: it is something else.
    """
    width = int.from_bytes(raw[:2], "little")
    return np.frombuffer(raw, dtype=np.int8, offset=2).reshape(-1, width)


def find_head(folder: Path, encoder_id: str) -> TokenHead | None:
    """Find the head in a folder that reads the states of an encoder; the first by file name.

    Raises:
        EncoderError: there is one, and it is damaged.
    """
    for file in sorted(folder.glob(f"*{SUFFIX}")):
        if _reads(file, encoder_id):
            return TokenHead.load(file)
    return None


def _means(named: str, encoder_id: str) -> bool:
    return encoder_id == named or encoder_id.startswith((f"{named}+", f"{named}/"))


def _reads(file: Path, encoder_id: str) -> bool:
    """Tell whether a file is a head, and of that encoder."""
    try:
        with open_tensors(file, form=_FORMAT) as (_, said):
            return _means(said["encoder_id"], encoder_id)
    except EncoderError:
        return False


def _check(head: TokenHead, file: Path) -> None:
    shape, known = head.matrix.shape, head.rarity.shape
    sound = len(shape) == _MATRIX and 0 < shape[-1] <= _WIDEST and np.isfinite(head.matrix).all()
    weighs = len(known) == 1 and 0 < known[0] <= MOST_PIECES and np.isfinite(head.rarity).all()
    if not (sound and weighs and 0 < head.tokens <= _MOST_TOKENS):
        raise EncoderError(
            f"The token head in {file} is no map of finite numbers that keeps 1 to {_MOST_TOKENS} "
            f"tokens: its shapes are {shape} and {known}, and it keeps {head.tokens}."
        )


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, _SMALLEST_LENGTH)
