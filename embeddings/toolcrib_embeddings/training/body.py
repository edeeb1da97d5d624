"""The transformer that is trained, cut in two: frozen layers below, trained layers above.

A text passes the frozen part once and is remembered there, which makes a step three times as
cheap. Knows no queries and no losses. Imports torch; nothing that serves imports this.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from toolcrib_embeddings.encoding.delta import WeightDelta
from toolcrib_embeddings.vectors import FloatMatrix
from toolcrib_registry.errors import EncoderError

Hidden: TypeAlias = torch.Tensor
"""One text behind the frozen layers: (tokens, width), half precision, on the CPU."""

_TOKENS_AT_ONCE: Final = 4_096
_MASKED: Final = -1e9

_log = logging.getLogger(__name__)


class Body:
    """A BERT-like encoder that pools by the mean: its upper layers as they were, and trained."""

    def __init__(self, folder: Path, *, trained_layers: int, device: str = "cpu") -> None:
        """Load the model in ``folder``.

        Raises:
            EncoderError: it is no such model, or has not that many layers.
        """
        model: Any = SentenceTransformer(str(folder), device=device, local_files_only=True)
        self.device = device
        self._tokenizer: Any = model.tokenizer
        transformer: Any = model[0].auto_model.float().eval()
        layers: Any = getattr(getattr(transformer, "encoder", None), "layer", None)
        pooling = getattr(model[1], "pooling_mode", None) if len(model) > 1 else None
        if layers is None or pooling != "mean" or not 0 < trained_layers < len(layers):
            raise EncoderError(
                f"{folder} cannot be trained here: what is needed is a BERT-like encoder of more "
                f"than {trained_layers} layers that pools by the mean."
            )
        cut = len(layers) - trained_layers
        self._embed, self._below = transformer.embeddings, layers[:cut]
        self.base: torch.nn.Module = layers[cut:]
        self.trained: torch.nn.Module = copy.deepcopy(self.base)
        self._cut = cut
        for parameter in transformer.parameters():
            parameter.requires_grad_(requires_grad=False)

    def remember(self, texts: Sequence[str], *, max_tokens: int) -> list[Hidden]:
        """Pass texts through the frozen layers, in order."""
        if not texts:
            return []
        tokens = self._tokenizer(list(texts), truncation=True, max_length=max_tokens)["input_ids"]
        hidden: list[Hidden] = [torch.empty(0)] * len(texts)
        done = 0
        for rows in _batches([len(ids) for ids in tokens]):
            ids, mask = self._pad_ids([tokens[row] for row in rows])
            with torch.no_grad():
                states = _through(self._below, self._embed(input_ids=ids), mask)
            for place, row in enumerate(rows):
                hidden[row] = states[place, : len(tokens[row])].half().cpu().clone()
            done += len(rows)
            _log.debug("%d of %d texts passed the frozen layers", done, len(texts))
        return hidden

    def encode(self, hidden: Sequence[Hidden], layers: Any) -> torch.Tensor:
        """Return unit vectors ``(n, width)`` by way of the given upper layers, with gradients."""
        rows: list[int] = []
        parts: list[torch.Tensor] = []
        for some in _batches([len(states) for states in hidden]):
            states, mask = self._pad_states([hidden[row] for row in some])
            rows += some
            parts.append(_pool(_through(layers, states, mask), mask))
        return torch.cat(parts)[torch.argsort(torch.tensor(rows, device=self.device))]

    def vectors(self, hidden: Sequence[Hidden], layers: Any) -> FloatMatrix:
        """As `encode`, without gradients, as an array."""
        with torch.no_grad():
            return np.asarray(self.encode(hidden, layers).cpu().numpy(), dtype=np.float32)

    def between(self, share: float) -> Any:
        """Copy the upper layers, ``share`` of the way from the base to the trained ones."""
        mixed = copy.deepcopy(self.base)
        start, end = self.base.state_dict(), self.trained.state_dict()
        mixed.load_state_dict({name: torch.lerp(start[name], end[name], share) for name in start})
        return mixed

    def delta(self, base_sha256: str, recipe: Mapping[str, Any]) -> WeightDelta:
        """Return what training has changed."""
        start, end = self.base.state_dict(), self.trained.state_dict()
        changes = {self._whole_name(n): (end[n] - start[n]).cpu().numpy() for n in start}
        return WeightDelta(base_sha256=base_sha256, changes=changes, recipe=recipe)

    def _whole_name(self, name: str) -> str:
        layer, _, rest = name.partition(".")
        return f"encoder.layer.{int(layer) + self._cut}.{rest}"

    def _pad_ids(self, tokens: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        rows = [torch.tensor(ids) for ids in tokens]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return ids.to(self.device), _mask(tokens).to(self.device)

    def _pad_states(self, hidden: Sequence[Hidden]) -> tuple[torch.Tensor, torch.Tensor]:
        states = torch.nn.utils.rnn.pad_sequence([*hidden], batch_first=True)
        return states.to(self.device).float(), _mask(hidden).to(self.device)


def _through(layers: Any, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    added = (1 - mask)[:, None, None, :] * _MASKED
    for layer in layers:
        states = layer(states, attention_mask=added)
    return states


def _pool(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return torch.nn.functional.normalize(mean, dim=-1)


def _mask(rows: Sequence[Any]) -> torch.Tensor:
    lengths = torch.tensor([len(row) for row in rows])
    return (torch.arange(int(lengths.max()))[None, :] < lengths[:, None]).float()


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Texts of similar length together, so that little is padding."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    batch: list[int] = []
    for row in order:
        if batch and (len(batch) + 1) * lengths[row] > _TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
