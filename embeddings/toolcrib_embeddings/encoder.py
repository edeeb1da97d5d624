"""Texts to unit vectors: what an encoder is, and one that serves sentence-transformers models.

Serving needs `tokenizers` and `onnxruntime` only: a model is exported once, elsewhere. Knows
neither entries nor indexes.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolcrib_registry.errors import EncoderError

from .exported import GRAPH, TOKEN_VECTORS, TOKENIZER, VECTORS, Export, find_or_export
from .model_folder import read_model
from .queries import Span

FloatVector: TypeAlias = NDArray[np.float32]
FloatMatrix: TypeAlias = NDArray[np.float32]
Progress: TypeAlias = Callable[[int], None]
Tokens: TypeAlias = NDArray[np.int32]

_MAX_CHARS_PER_TOKEN: Final = 32
"""Texts are cut here before they are split into tokens: a 1 MB text costs as much as a long one."""
_TOKENS_PER_BATCH: Final = 512
"""Throughput on two cores is flat above this; memory is not (217 MB here, 341 MB at 2048)."""
_TEXTS_TOKENIZED_AT_ONCE: Final = 512
_REMEMBERED_TEXTS: Final = 256


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

    def encode_spans(self, text: str, spans: Sequence[Span]) -> FloatMatrix:
        """Encode a text, and parts of it as they are meant within it.

        ``spans`` are (start, end) in characters. Shape ``(1 + len(spans), dimension)``, the whole
        text first, rows of length 1.
        """
        ...

    def encode_tokens(self, texts: Sequence[str]) -> list[FloatMatrix] | None:
        """Encode each token: a matrix of unit rows for each text, None if the model has no such.

        Marks that stand for no text have no row.
        """
        ...


class SentenceTransformerEncoder:
    """Serves a sentence-transformers model through ONNX Runtime, identical to the original.

    Texts beyond the model's own limit are cut, as the original does. The last few single texts
    are remembered, so that a repeated query costs nothing.
    """

    def __init__(self, export: Export, *, threads: int = 2) -> None:
        """Serve a finished export; most callers want `open`."""
        self._export = export
        self._max_chars = export.max_tokens * _MAX_CHARS_PER_TOKEN
        self._tokenizer = _open_tokenizer(export.folder / TOKENIZER, export.max_tokens)
        self._session = _open_session(export.folder / GRAPH, threads)
        self._give_memory_back = _shrinking_run()
        self._remembered: OrderedDict[str, FloatMatrix] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls, cache_dir: Path, *, model: Path | None = None, threads: int = 2
    ) -> SentenceTransformerEncoder:
        """Open a model, exporting it into ``cache_dir`` first when that was never done.

        ``model`` is a sentence-transformers folder, or what else `read_model` takes; without one
        the bundled model is used, tuned to tools: both must bear their published hashes. The first
        time takes tens of seconds; processes that start together export once.

        Raises:
            EncoderError: the model is missing, not the one it claims to be, or cannot be exported.
        """
        return cls(find_or_export(read_model(model), cache_dir), threads=threads)

    @property
    def id(self) -> str:
        """Model, hash of its weights, hash of its configuration, numeric form."""
        return self._export.encoder_id

    @property
    def dimension(self) -> int:
        """Length of each vector."""
        return self._export.dimension

    def encode(self, texts: Sequence[str], *, on_progress: Progress | None = None) -> FloatMatrix:
        """Encode texts, in order: shape ``(n, dimension)``, float32, rows of length 1.

        ``on_progress`` is told how many texts are done so far. Texts of similar length share a
        batch; the longest come first.
        """
        if len(texts) == 1:
            vectors = self._encode_one(texts[0][: self._max_chars])
            if on_progress:
                on_progress(1)
            return vectors
        return self._encode_many(texts, on_progress)

    def encode_spans(self, text: str, spans: Sequence[Span]) -> FloatMatrix:
        """Encode a text, and parts of it as they are meant within it: shape ``(1 + n, d)``.

        Where a text's vector is the mean of its tokens' vectors, a part's is the mean of its own
        tokens in the same pass, which costs nothing more (late chunking, arXiv 2409.04701). For
        other models each part is encoded as a text of its own.
        """
        text = text[: self._max_chars]
        if not spans:
            return self._encode_one(text)
        if not self._export.gives_tokens:
            return self._encode_many([text, *(text[start:end] for start, end in spans)], None)
        offset = len(self._export.prefix)
        encoding = self._tokenizer.encode(self._export.prefix + _encodable(text))
        tokens = np.array(encoding.ids, dtype=np.int32)
        whole, (states,) = self._run_both([tokens])
        shifted = [(start + offset, end + offset) for start, end in spans]
        masks = _token_masks(encoding.offsets, shifted)
        return _unit_rows(np.concatenate((whole, _means(masks, states, otherwise=whole[0]))))

    def encode_tokens(self, texts: Sequence[str]) -> list[FloatMatrix] | None:
        """Encode each token: a matrix of unit rows for each text, None if the model has no such.

        Marks that stand for no text have no row. Texts of similar length share a batch.
        """
        if not self._export.gives_tokens:
            return None
        tokens = self._tokenize(texts)
        matrices: list[FloatMatrix] = [np.empty((0, self.dimension), dtype=np.float32)] * len(texts)
        for rows in _batches([len(ids) for ids in tokens]):
            _, states = self._run_both([tokens[row] for row in rows])
            for row, state in zip(rows, states, strict=True):
                matrices[row] = _unit_rows(state[1 : len(tokens[row]) - 1])
        return matrices

    def _encode_one(self, text: str) -> FloatMatrix:
        with self._lock:
            if text in self._remembered:
                self._remembered.move_to_end(text)
                return self._remembered[text].copy()
        vectors = self._run(self._tokenize([text]))
        with self._lock:
            self._remembered[text] = vectors.copy()
            if len(self._remembered) > _REMEMBERED_TEXTS:
                self._remembered.popitem(last=False)
        return vectors

    def _encode_many(self, texts: Sequence[str], on_progress: Progress | None) -> FloatMatrix:
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        tokens = self._tokenize(texts)
        done = 0
        for rows in _batches([len(ids) for ids in tokens]):
            done += len(rows)
            vectors[rows] = self._run([tokens[row] for row in rows], last=done == len(texts))
            if on_progress:
                on_progress(done)
        return vectors

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

    def _run_both(self, tokens: Sequence[Tokens]) -> tuple[FloatMatrix, NDArray[np.float32]]:
        """Return a row for each text, and for each text a row for each token and for padding."""
        vectors, states = self._infer([VECTORS, TOKEN_VECTORS], tokens)
        return np.asarray(vectors, dtype=np.float32), np.asarray(states, dtype=np.float32)

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
