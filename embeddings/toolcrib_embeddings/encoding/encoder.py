"""Texts to unit vectors: what an encoder is, and one that serves sentence-transformers models.

Serving needs `tokenizers` and `onnxruntime` only: a model is exported once, elsewhere. Knows
neither entries nor indexes.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.queries.steps import Span
from toolcrib_embeddings.vectors import FloatMatrix, FloatVector
from toolcrib_registry.errors import EncoderError

from .exported import GRAPH, TOKEN_VECTORS, TOKENIZER, VECTORS, Export, find_or_export
from .model_folder import read_model, weights_folder
from .tokens import TokenHead, TokenMatrix, find_head

Progress: TypeAlias = Callable[[int], None]
Tokens: TypeAlias = NDArray[np.int32]

_MAX_CHARS_PER_TOKEN: Final = 32
"""Texts are cut here before they are split into tokens: a 1 MB text costs as much as a long one."""
_TOKENS_PER_BATCH: Final = 512
"""Throughput on two cores is flat above this; memory is not (217 MB here, 341 MB at 2048)."""
_TEXTS_TOKENIZED_AT_ONCE: Final = 512
_REMEMBERED_TEXTS: Final = 256
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Encoding:
    """What one pass over some texts gives."""

    vectors: FloatMatrix
    """Shape ``(n, dimension)``, rows of length 1."""
    tokens: tuple[TokenMatrix, ...] | None = None
    """The token vectors of each text; None where the encoder makes none."""
    inside: NDArray[np.bool_] | None = None
    """Which tokens of a query lie in which of its spans, a line each."""


class Encoder(Protocol):
    """Turns texts into unit vectors. Safe to use from several threads."""

    @property
    def id(self) -> str:
        """Model, weights and numeric form; two encoders with one id give the same vectors."""
        ...

    @property
    def dimension(self) -> int:
        """Length of each vector."""
        ...

    def encode(self, texts: Sequence[str], *, on_progress: Progress | None = None) -> FloatMatrix:
        """Encode texts, in order: shape ``(n, dimension)``, float32, rows of length 1.

        ``on_progress`` is told how many texts are done so far.
        """
        ...

    @property
    def token_id(self) -> str | None:
        """What makes its token vectors, `id` included; None when it makes none."""
        ...

    @property
    def token_fault(self) -> str | None:
        """Why it makes no token vectors though it should, and what to do; None otherwise."""
        ...

    @property
    def rarity(self) -> FloatVector:
        """How rare each word piece is, see `TokenHead.rarity`; empty without token vectors."""
        ...

    def encode_documents(
        self, texts: Sequence[str], *, on_progress: Progress | None = None
    ) -> Encoding:
        """Encode texts, in order, with the token vectors of each, cut after the first few dozen."""
        ...

    def encode_query(self, text: str, spans: Sequence[Span] = ()) -> Encoding:
        """Encode a text, and parts of it as they are meant within it.

        ``spans`` are (start, end) in characters. ``1 + len(spans)`` vectors, the whole text first;
        token vectors of the whole text alone.
        """
        ...


class SentenceTransformerEncoder:
    """Serves a sentence-transformers model through ONNX Runtime, identical to the original.

    Texts beyond the model's own limit are cut, as the original does. The last few single texts
    are remembered, so that a repeated query costs nothing.
    """

    def __init__(
        self,
        export: Export,
        *,
        threads: int = 2,
        head: TokenHead | None = None,
        token_fault: str | None = None,
    ) -> None:
        """Serve a finished export; most callers want `open`."""
        self._export = export
        self._token_fault = token_fault
        self._head = head if export.gives_tokens else None
        self._token_id = self._head.name(export.encoder_id) if self._head else None
        self._max_chars = export.max_tokens * _MAX_CHARS_PER_TOKEN
        self._tokenizer = _open_tokenizer(export.folder / TOKENIZER, export.max_tokens)
        self._session = _open_session(export.folder / GRAPH, threads)
        self._give_memory_back = _shrinking_run()
        self._remembered: OrderedDict[tuple[str, Sequence[Span]], Encoding] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        cache_dir: Path,
        *,
        model: Path | None = None,
        head: Path | None = None,
        threads: int = 2,
    ) -> SentenceTransformerEncoder:
        """Open a model, exporting it into ``cache_dir`` first when that was never done.

        ``model`` is a sentence-transformers folder, or what else `read_model` takes; without one
        the bundled model is used, tuned to tools: both must bear their published hashes. The first
        time takes tens of seconds; processes that start together export once. ``head`` is a token
        head that ``training late`` wrote; without one that of Toolcrib's own for this model. One
        that is none, or of another encoder, costs the second stage alone: see `token_fault`.

        Raises:
            EncoderError: the model is missing, not the one it claims to be, or cannot be exported.
        """
        export = find_or_export(read_model(model), cache_dir)
        found, fault = _find_head(head, export)
        return cls(export, threads=threads, head=found, token_fault=fault)

    @property
    def id(self) -> str:
        """Model, hash of its weights, hash of its configuration, numeric form."""
        return self._export.encoder_id

    @property
    def dimension(self) -> int:
        """Length of each vector."""
        return self._export.dimension

    @property
    def token_id(self) -> str | None:
        """`id` and the token head; None without one."""
        return self._token_id

    @property
    def token_fault(self) -> str | None:
        """Why the token head cannot be used; None where it can, or where there is none."""
        return self._token_fault

    @property
    def rarity(self) -> FloatVector:
        """How rare each word piece is; empty without a token head."""
        return np.empty(0, dtype=np.float32) if self._head is None else self._head.rarity

    def encode(self, texts: Sequence[str], *, on_progress: Progress | None = None) -> FloatMatrix:
        """Encode texts, in order: shape ``(n, dimension)``, float32, rows of length 1.

        ``on_progress`` is told how many texts are done so far. Texts of similar length share a
        batch; the longest come first.
        """
        if len(texts) == 1:
            vectors = self.encode_query(texts[0]).vectors
            if on_progress:
                on_progress(1)
            return vectors
        return self._encode_many(texts, on_progress, head=None).vectors

    def encode_documents(
        self, texts: Sequence[str], *, on_progress: Progress | None = None
    ) -> Encoding:
        """Encode texts, in order, with the token vectors of each where there is a token head.

        Both come from one pass: less than a twentieth slower than `encode`.
        """
        return self._encode_many(texts, on_progress, head=self._head)

    def encode_query(self, text: str, spans: Sequence[Span] = ()) -> Encoding:
        """Encode a text, and parts of it as they are meant within it: ``1 + n`` vectors.

        Where a text's vector is the mean of its tokens' vectors, a part's is the mean of its own
        tokens in the same pass, which costs nothing more (late chunking, arXiv 2409.04701). For
        other models each part is encoded as a text of its own.
        """
        key = (text[: self._max_chars], tuple(spans))
        with self._lock:
            found = self._remembered.get(key)
            if found:
                self._remembered.move_to_end(key)
        if found is None:
            found = self._encode_query(*key)
            with self._lock:
                self._remembered[key] = found
                if len(self._remembered) > _REMEMBERED_TEXTS:
                    self._remembered.popitem(last=False)
        return Encoding(found.vectors.copy(), found.tokens, found.inside)

    def _encode_query(self, text: str, spans: Sequence[Span]) -> Encoding:
        if not self._export.gives_tokens:
            parts = [text, *(text[start:end] for start, end in spans)]
            return self._encode_many(parts, None, head=None)
        offset = len(self._export.prefix)
        encoding = self._tokenizer.encode(self._export.prefix + _encodable(text))
        ids = np.array(encoding.ids, dtype=np.int32)
        vectors, (states,) = self._run_both([ids])
        masks = np.zeros((0, len(ids)), dtype=np.float32)
        if spans:
            shifted = [(start + offset, end + offset) for start, end in spans]
            masks = _token_masks(encoding.offsets, shifted)
            means = _means(masks, states, otherwise=vectors[0])
            vectors = np.concatenate((vectors, means))
        if self._head is None:
            return Encoding(_unit_rows(vectors))
        own = _of_text(ids)
        tokens = self._head.compress(states[own], ids[own])
        return Encoding(_unit_rows(vectors), (tokens,), masks[:, own] > 0)

    def _encode_many(
        self, texts: Sequence[str], on_progress: Progress | None, *, head: TokenHead | None
    ) -> Encoding:
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        matrices = [np.empty((0, 0), dtype=np.int8)] * len(texts)
        tokens = self._tokenize(texts)
        done = 0
        for rows in _batches([len(ids) for ids in tokens]):
            done += len(rows)
            some = [tokens[row] for row in rows]
            if head is None:
                vectors[rows] = self._run(some, last=done == len(texts))
            else:
                vectors[rows], states = self._run_both(some, last=done == len(texts))
                for row, ids, of_text in zip(rows, some, states, strict=True):
                    own = _of_text(ids, most=head.tokens)
                    matrices[row] = head.compress(of_text[own], ids[own])
            if on_progress:
                on_progress(done)
        return Encoding(vectors, tuple(matrices) if head else None)

    def _tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        tokens: list[Tokens] = []
        for start in range(0, len(texts), _TEXTS_TOKENIZED_AT_ONCE):
            some = texts[start : start + _TEXTS_TOKENIZED_AT_ONCE]
            clean = [self._export.prefix + _encodable(text[: self._max_chars]) for text in some]
            encoded = self._tokenizer.encode_batch(clean)
            tokens += [np.array(encoding.ids, dtype=np.int32) for encoding in encoded]
        return tokens

    def _run(self, tokens: Sequence[Tokens], *, last: bool = False) -> FloatMatrix:
        options = self._give_memory_back if last else None
        outputs = self._infer([VECTORS], tokens, options)
        return _unit_rows(np.asarray(outputs[0], dtype=np.float32))

    def _run_both(
        self, tokens: Sequence[Tokens], *, last: bool = False
    ) -> tuple[FloatMatrix, NDArray[np.float32]]:
        """Return a row for each text, and for each text a row for each token and for padding."""
        options = self._give_memory_back if last else None
        vectors, states = self._infer([VECTORS, TOKEN_VECTORS], tokens, options)
        return (
            _unit_rows(np.asarray(vectors, dtype=np.float32)),
            np.asarray(states, dtype=np.float32),
        )

    def _infer(self, names: list[str], tokens: Sequence[Tokens], options: Any = None) -> Any:
        try:
            return self._session.run(names, self._feed(tokens), options)
        except Exception as error:  # its own errors, and of what it runs on, have no common root
            raise EncoderError(f"The embedding model failed: {error}") from error

    def _feed(self, tokens: Sequence[Tokens]) -> dict[str, NDArray[np.int64]]:
        width = max(len(ids) for ids in tokens)
        ids = np.full((len(tokens), width), self._export.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, values in enumerate(tokens):
            ids[row, : len(values)] = values
            mask[row, : len(values)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return {name: feed[name] for name in self._export.inputs}


def _find_head(file: Path | None, export: Export) -> tuple[TokenHead | None, str | None]:
    """Find the token head to use, or say why it cannot be; that is told once, here."""
    try:
        return (_shipped_head(export) if file is None else _own_head(file, export)), None
    except EncoderError as error:
        remedy = (
            "It came with Toolcrib: install that again."
            if file is None
            else "TOOLCRIB_TOKEN_HEAD names it: name another, or unset it, and start again."
        )
        fault = f"{error.detail.rstrip('.')}. {remedy}"
    _log.warning("Search goes without its second stage. %s", fault)
    return None, fault


def _own_head(file: Path, export: Export) -> TokenHead:
    """Read a token head that somebody names, and refuse one that does not fit."""
    head, encoder = TokenHead.load(file), export.encoder_id
    if not export.gives_tokens:
        raise EncoderError(
            f"The token head in {file} has nothing to read: {encoder} gives no tokens."
        )
    if not head.reads(encoder):
        raise EncoderError(
            f"The token head in {file} reads the encoder {head.encoder_id}, but {encoder} is in "
            "use. Make one for it, with `training late --model` as TOOLCRIB_ENCODER."
        )
    if head.matrix.shape[0] != export.dimension:
        raise EncoderError(
            f"The token head in {file} reads {head.matrix.shape[0]} numbers a token; {encoder} "
            f"has {export.dimension}."
        )
    return head


def _shipped_head(export: Export) -> TokenHead | None:
    """Find the token head that comes with Toolcrib; without one there is no second stage."""
    return find_head(weights_folder(), export.encoder_id) if export.gives_tokens else None


def _of_text(ids: Tokens, *, most: int | None = None) -> slice:
    """Leave out padding, and the marks at both ends that stand for no text."""
    end = max(len(ids) - 1, 1)
    return slice(1, end if most is None else min(end, 1 + most))


def _token_masks(offsets: Sequence[Span], spans: Sequence[Span]) -> FloatMatrix:
    """Which tokens lie in which span, as 0 and 1: shape ``(spans, tokens)``."""
    places = np.array(offsets, dtype=np.int64).reshape(-1, 2)
    starts, ends = places[:, 0], places[:, 1]
    bounds = np.array(spans, dtype=np.int64)
    inside = (starts >= bounds[:, :1]) & (ends <= bounds[:, 1:]) & (ends > starts)
    return inside.astype(np.float32)


def _means(masks: FloatMatrix, states: FloatMatrix, *, otherwise: FloatVector) -> FloatMatrix:
    """Average the tokens of each mask; one without tokens (cut away) means what the text does."""
    counts = masks.sum(axis=1, keepdims=True)
    means = masks @ states / np.maximum(counts, 1)
    return np.where(counts > 0, means, otherwise)


def _unit_rows(vectors: FloatMatrix) -> FloatMatrix:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    start = 0
    while start < len(order):
        count = max(1, _TOKENS_PER_BATCH // max(1, lengths[order[start]]))
        yield order[start : start + count]
        start += count


def _open_tokenizer(file: Path, max_tokens: int) -> Any:
    from tokenizers import Tokenizer  # noqa: PLC0415  # only a process that encodes pays for it

    tokenizer: Any = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def _open_session(file: Path, threads: int) -> Any:
    runtime = _onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False  # every batch has another shape: patterns only take memory
    return runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _shrinking_run() -> Any:
    options = _onnxruntime().RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def _onnxruntime() -> Any:
    # Its wheels report to their maker unless told not to, before they are loaded.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415  # slow, and without types: only a process that encodes pays

    return onnxruntime
