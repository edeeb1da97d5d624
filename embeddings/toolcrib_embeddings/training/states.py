"""Token states of texts, by the encoder as it is served: read once, then a head learns from them.

Knows neither queries' answers nor losses. Imports torch; nothing that serves imports this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from toolcrib_embeddings.encoding.delta import WeightDelta
from toolcrib_embeddings.encoding.export import add_delta
from toolcrib_embeddings.encoding.model_folder import ModelFolder
from toolcrib_embeddings.queries.steps import split_steps
from toolcrib_embeddings.vectors import FloatMatrix, FloatVector
from toolcrib_registry.errors import EncoderError

_TOKENS_AT_ONCE: Final = 4_096
_TEXTS_AT_ONCE: Final = 512
_UNSEEN: Final = 0.2
"""Documents that a word piece is taken to stand in beyond those that it was seen in."""


@dataclass(frozen=True, slots=True)
class States:
    """Token states of some texts, one after the other, without the marks at their ends."""

    rows: NDArray[np.float16]
    """Shape (tokens of all texts, width)."""
    pieces: NDArray[np.int32]
    """The word piece of each token."""
    starts: NDArray[np.intp]
    """Where each text's tokens start, and where the last one's end."""
    vectors: FloatMatrix
    """Of the texts, rows of length 1."""

    def of(self, text: int) -> slice:
        """Tell where the tokens of a text stand."""
        return slice(int(self.starts[text]), int(self.starts[text + 1]))

    def count_documents(self, vocabulary: int) -> NDArray[np.int64]:
        """Count the texts that hold each word piece."""
        seen = [np.unique(self.pieces[self.of(text)]) for text in range(len(self.starts) - 1)]
        return np.bincount(_joined(seen), minlength=vocabulary)


class StateReader:
    """Passes texts through a model, its tuning included."""

    def __init__(self, folder: ModelFolder, *, device: str = "cpu") -> None:
        """Load the model.

        Raises:
            EncoderError: it does not pool by the mean, or its tuning does not fit.
        """
        model: Any = SentenceTransformer(str(folder.path), device=device, local_files_only=True)
        if len(model) < 2 or getattr(model[1], "pooling_mode", None) != "mean":  # noqa: PLR2004
            raise EncoderError(
                f"{folder.path} has no token states that a second stage could read: what is needed "
                "is an encoder that pools by the mean."
            )
        if folder.tuning:
            add_delta(model, WeightDelta.load(folder.tuning))
        self.device = device
        self._tokenizer: Any = model.tokenizer
        self._transformer: Any = model[0].auto_model.float().eval()

    @property
    def vocabulary(self) -> int:
        """How many word pieces there are."""
        return len(self._tokenizer)

    def read(self, texts: Sequence[str], *, kept: int | None = None) -> States:
        """Read texts, in order; of the tokens of each, the first ``kept`` have states here."""
        tokens = self._tokenize(texts)
        lengths = np.array([len(ids) - 2 for ids in tokens], dtype=np.intp)
        lengths = lengths if kept is None else np.minimum(lengths, kept)
        starts = np.concatenate(([0], np.cumsum(lengths)))
        width = int(self._transformer.config.hidden_size)
        rows = np.empty((int(starts[-1]), width), dtype=np.float16)
        vectors = np.empty((len(texts), width), dtype=np.float32)
        for some in _batches(tokens):
            states = self._pass([tokens[text] for text in some])
            for place, text in enumerate(some):
                whole = states[place, : len(tokens[text])]
                rows[starts[text] : starts[text + 1]] = whole[1 : 1 + lengths[text]]
                mean = whole.mean(axis=0)
                vectors[text] = mean / np.linalg.norm(mean)
        pieces = [
            np.array(ids[1 : 1 + length], dtype=np.int32)
            for ids, length in zip(tokens, lengths.tolist(), strict=True)
        ]
        return States(rows, _joined(pieces), starts, vectors)

    def steps(self, text: str) -> NDArray[np.bool_]:
        """Tell which tokens lie in which step: a row for each step; one of all when it is one."""
        said: Any = self._tokenizer(text, truncation=True, return_offsets_mapping=True)
        places = np.array(said["offset_mapping"][1:-1], dtype=np.int64).reshape(-1, 2)
        masks = [
            (places[:, 0] >= start) & (places[:, 1] <= end) for start, end in split_steps(text)
        ]
        masks = [mask for mask in masks if mask.any()]
        return np.array(masks) if masks else np.ones((1, len(places)), dtype=np.bool_)

    def rarity(self, texts: Sequence[str], *, kept: int) -> FloatVector:
        """Return -ln of the share of texts that hold each word piece among the first ``kept``.

        No text is encoded.
        """
        counts = np.full(self.vocabulary, _UNSEEN)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            for ids in self._tokenize(texts[start : start + _TEXTS_AT_ONCE]):
                counts[list(set(ids[1:-1][:kept]))] += 1
        return (-np.log(counts / (len(texts) + 1))).clip(0).astype(np.float32)

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        said: Any = self._tokenizer(list(texts), truncation=True)
        return said["input_ids"]

    def _pass(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        rows = [torch.tensor(ids) for ids in tokens]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(ids.shape[1])[None, :] < lengths[:, None]).long()
        with torch.no_grad():
            said = self._transformer(
                input_ids=ids.to(self.device), attention_mask=mask.to(self.device)
            )
        return np.asarray(said.last_hidden_state.cpu().numpy(), dtype=np.float32)


def _joined(pieces: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    return np.concatenate([*pieces, np.empty(0, dtype=np.int32)])


def _batches(tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Texts of similar length together, so that little is padding."""
    order = sorted(range(len(tokens)), key=lambda row: (-len(tokens[row]), row))
    start = 0
    while start < len(order):
        count = max(1, _TOKENS_AT_ONCE // max(1, len(tokens[order[start]])))
        yield order[start : start + count]
        start += count
