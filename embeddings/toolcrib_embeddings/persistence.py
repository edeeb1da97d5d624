"""What an index holds, as a snapshot in a folder, and back."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from toolcrib_registry.types import Revision

from .abstention.calibration import Calibration
from .answering.state import State
from .documents.representation import Representation
from .encoding.encoder import Encoder
from .indexing.index import FaissIndex
from .indexing.lexical import Bm25Index
from .indexing.postings import Postings
from .indexing.roster import Roster
from .indexing.snapshots import (
    Header,
    Part,
    Snapshot,
    SnapshotInvalid,
    map_part,
    open_snapshot,
    write_snapshot,
)
from .indexing.token_table import BASE, TokenTable

_log = logging.getLogger(__name__)
_COUNTED: Final = ("starts", "words", "counts")


def save_state(
    state: State, folder: Path, encoder: Encoder, representation: Representation
) -> TokenTable | None:
    """Write a snapshot, atomically; return its token vectors as the file has them, if it is new.

    Raises:
        OSError: it cannot be written; the snapshot that was there is intact.
    """
    header = Header(
        encoder=encoder.id,
        representation=representation.id,
        dimension=encoder.dimension,
        revision=state.revision,
        entries=len(state.dense),
    )
    token_id = encoder.token_id
    if token_id is None or not len(state.tokens):
        write_snapshot(folder, header, _dump(state))
        return None
    dump = state.tokens.dump(token_id)
    known = {BASE: dump.digest} if dump.digest else {}
    parts = {**_dump(state), **dump.parts, BASE: dump.base}
    digest = write_snapshot(folder, header, parts, known=known)[BASE]
    if dump.digest is not None:
        return None
    try:
        return TokenTable.load(token_id, dump.parts, map_part(folder, BASE, digest))
    except SnapshotInvalid:
        return None  # another process has written meanwhile; these stay in memory


def load_state(folder: Path, encoder: Encoder, representation: Representation) -> State:
    """Read the snapshot in a folder; token vectors that are not the encoder's are left out.

    Raises:
        SnapshotInvalid: it is missing, damaged, of another format, of another encoder, or of
            documents represented otherwise.
    """
    snapshot = open_snapshot(folder, mapped=(BASE,))
    header = snapshot.header
    if (header.encoder, header.dimension) != (encoder.id, encoder.dimension):
        raise SnapshotInvalid(
            f"it was made by {header.encoder} ({header.dimension} numbers), "
            f"the encoder is {encoder.id} ({encoder.dimension} numbers)"
        )
    if header.representation != representation.id:
        raise SnapshotInvalid(
            f"its documents are weighed {header.representation}, wanted is {representation.id}"
        )
    return _load(snapshot, encoder.token_id)


def _dump(state: State) -> dict[str, Part]:
    postings, names = state.lexical.postings, state.lexical.names
    calibration = {"size": state.calibrated_at, **state.judge.calibration.dump()}
    return {
        "calibration": json.dumps(calibration).encode(),
        "roster": json.dumps(state.dense.roster.dump()).encode(),
        "vectors": _raw(state.dense.vectors, "<f4"),
        "vocabulary": json.dumps(list(state.lexical.vocabulary)).encode(),
        "starts": _raw(postings.starts, "<i4"),
        "words": _raw(postings.words, "<i4"),
        "counts": _raw(postings.counts, "<i4"),
        "name_starts": _raw(names.starts, "<i4"),
        "name_words": _raw(names.words, "<i4"),
        "name_counts": _raw(names.counts, "<i4"),
    }


def _load(snapshot: Snapshot, token_id: str | None) -> State:
    header, parts = snapshot.header, snapshot.parts
    try:
        roster = Roster.load(json.loads(parts["roster"]))
        vectors = np.frombuffer(parts["vectors"], dtype="<f4")
        dense = FaissIndex(roster, vectors.reshape(header.entries, header.dimension))
        words = {word: code for code, word in enumerate(json.loads(parts["vocabulary"]))}
        postings, names = (
            Postings(*(np.frombuffer(parts[prefix + name], dtype="<i4") for name in _COUNTED))
            for prefix in ("", "name_")
        )
        lexical = Bm25Index(roster, words, postings, names)
    except (KeyError, ValueError, TypeError) as error:
        raise SnapshotInvalid(f"its parts do not fit together: {error}") from error
    calibration = _load_calibration(parts)
    tokens = _load_tokens(snapshot, token_id)
    return State(dense, lexical, Revision(header.revision), *calibration, tokens=tokens)


def _load_tokens(snapshot: Snapshot, token_id: str | None) -> TokenTable:
    """Read token vectors; where they are damaged or another's, they are made anew, in time."""
    if token_id is None or BASE not in snapshot.mapped:
        return TokenTable.empty()
    try:
        return TokenTable.load(token_id, snapshot.parts, snapshot.mapped[BASE])
    except ValueError as error:
        _log.warning("Token vectors are left out of the index: %s", error)
        return TokenTable.empty()


def _load_calibration(parts: Mapping[str, bytes]) -> tuple[Calibration, int]:
    """Read the calibration and the size it was made at; of another release it is made anew."""
    try:
        said: dict[str, Any] = json.loads(parts["calibration"])
        return Calibration.load(said), int(said["size"])
    except (KeyError, ValueError, TypeError):
        return Calibration.shipped(), 0


def _raw(array: NDArray[Any], dtype: str) -> Part:
    # By way of bytes, because a memory view of nothing cannot be cast.
    return np.ascontiguousarray(array, dtype=dtype).reshape(-1).view(np.uint8).data
