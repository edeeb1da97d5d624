"""A change of some of a model's weights, kept apart from the model, small and in half precision.

Matrices are kept as the product of two thin ones: what training changes has few directions (LoRA,
arXiv 2106.09685; here the thin ones are found afterwards, by singular values). Written by
`toolcrib_embeddings.training`, added when the model is exported. Knows arrays and files, no torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from toolcrib_registry.errors import EncoderError

from .tensor_file import open_tensors, save_tensors

_FORMAT: Final = "toolcrib-delta-1"
_TALL, _WIDE = "#tall", "#wide"
_MOST_NUMBERS: Final = 2**30
"""4 GiB, before what a small file asks for fills the memory."""
_MATRIX: Final = 2
"""Dimensions; a vector is kept as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightDelta:
    """What is added to which weights of one model, and to which model it belongs."""

    base_sha256: str
    """Hash of the weights that it changes; it means nothing for others."""
    changes: Mapping[str, NDArray[np.float32]]
    """By the name of the parameter, in its shape."""
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """How it was made: JSON data, for people."""

    def scaled(self, share: float) -> WeightDelta:
        """Take a share of the change: the straight line between two models (arXiv 2109.01903)."""
        return replace(self, changes={name: share * c for name, c in self.changes.items()})

    def dump(self, file: Path, *, rank: int = 64) -> None:
        """Write it whole or not at all, rounded to half precision.

        Of each matrix, ``rank`` directions are kept, those that change most.

        Raises:
            OSError: it cannot be written.
        """
        said = {"base_sha256": self.base_sha256, "recipe": json.dumps(dict(self.recipe))}
        halves = {
            name: part.astype(np.float16)
            for whole, change in self.changes.items()
            for name, part in _thin(whole, change, rank)
        }
        save_tensors(file, halves, said, form=_FORMAT)

    @classmethod
    def load(cls, file: Path) -> WeightDelta:
        """Read one whole.

        Raises:
            EncoderError: it is missing, damaged or no delta.
        """
        with open_tensors(file, form=_FORMAT) as (tensors, said):
            names: list[str] = list(tensors.keys())
            parts = {name: tensors.get_tensor(name).astype(np.float32) for name in names}
            recipe = json.loads(said.get("recipe", "{}"))
            if not isinstance(recipe, dict):
                raise EncoderError(f"The recipe in {file} is no JSON object.")
            return cls(
                base_sha256=said["base_sha256"],
                changes=dict(_changes(parts)),
                recipe=cast("dict[str, Any]", recipe),
            )


def read_base_sha256(file: Path) -> str:
    """Read which weights a delta belongs to; the changes stay where they are.

    Raises:
        EncoderError: it is missing, damaged or no delta.
    """
    with open_tensors(file, form=_FORMAT) as (_, said):
        return said["base_sha256"]


def _thin(
    name: str, change: NDArray[np.float32], rank: int
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    if change.ndim != _MATRIX or rank >= min(change.shape) // 2:
        yield name, change
        return
    left, sizes, right = np.linalg.svd(change, full_matrices=False)
    roots = np.sqrt(sizes[:rank])
    yield name + _TALL, np.ascontiguousarray(left[:, :rank] * roots)
    yield name + _WIDE, np.ascontiguousarray(roots[:, None] * right[:rank])


def _changes(
    parts: Mapping[str, NDArray[np.float32]],
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    room = _MOST_NUMBERS
    for name in parts:
        if name.endswith(_WIDE):
            continue
        factors = _factors(name, parts)
        room -= math.prod((*factors[0].shape[:-1], *factors[-1].shape[-1:]))
        if room < 0:
            raise ValueError(f"more than {_MOST_NUMBERS} weights")
        change = factors[0] if len(factors) == 1 else factors[0] @ factors[1]
        if not np.isfinite(change).all():
            raise ValueError(f"{name} holds what is no number")
        yield name.removesuffix(_TALL), change


def _factors(
    name: str, parts: Mapping[str, NDArray[np.float32]]
) -> tuple[NDArray[np.float32], ...]:
    if not name.endswith(_TALL):
        return (parts[name],)
    return parts[name], parts[name.removesuffix(_TALL) + _WIDE]
