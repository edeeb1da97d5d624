"""Exports one sentence-transformers model to ONNX: ``python -m toolcrib_embeddings.export``.

Run as a child process by `toolcrib_embeddings.exported`, because it imports torch; the serving
process never does. Knows nothing of caches and locks.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from sentence_transformers import SentenceTransformer

from toolcrib_registry.errors import EncoderError

from .encoder import SentenceTransformerEncoder
from .exported import GRAPH, GRAPH_DATA, TOKENIZER, Export

_MIN_COSINE = 0.9999
_SAMPLE = (
    "convert_time: Convert a time between two time zones.",
    "Find flights",
    "",
    "Été, naïve café; 東京の天気 — получить прогноз погоды?",
    "get_forecast latitude longitude " * 60,
)
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class _Pipeline(torch.nn.Module):
    """All modules of the model, its pooling and normalisation included, as one graph."""

    def __init__(self, model: Any, inputs: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.inputs = tuple(inputs)

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        features: dict[str, Any] = dict(zip(self.inputs, tensors, strict=True))
        for module in self.model:
            features = module(features)
        return features["sentence_embedding"]


def export(source: Path, target: Path, *, encoder_id: str) -> None:
    """Export the model in ``source`` into the folder ``target``, and prove that it is the same.

    Raises:
        EncoderError: its tokenizer is not a fast one, or the export gives other vectors.
    """
    model: Any = SentenceTransformer(str(source), device="cpu", local_files_only=True)
    model = model.eval().float()
    if not getattr(model.tokenizer, "is_fast", False):
        raise EncoderError("its tokenizer has no tokenizer.json (it is not a fast tokenizer)")
    model.tokenizer.backend_tokenizer.save(str(target / TOKENIZER))
    inputs = _write_graph(model, target)
    made = _describe(model, target, encoder_id=encoder_id, inputs=inputs)
    made.dump()
    _prove_same(model, made)


def _write_graph(model: Any, target: Path) -> tuple[str, ...]:
    features = model.preprocess(list(_SAMPLE[:2]))
    inputs = tuple(name for name in _INPUTS if name in features)
    axes = {name: {0: "texts", 1: "tokens"} for name in inputs}
    exporter: Any = torch.onnx  # partly without types
    exporter.export(
        _Pipeline(model, inputs),
        tuple(features[name] for name in inputs),
        str(target / GRAPH),
        input_names=list(inputs),
        output_names=["embedding"],
        dynamic_axes={**axes, "embedding": {0: "texts"}},
        opset_version=17,
        dynamo=False,  # the newer exporter needs one more library, onnxscript
    )
    _move_weights_out(target)
    return inputs


def _move_weights_out(target: Path) -> None:
    """Weights beside the graph are mapped, not copied: some 40 MB less in the serving process."""
    library: Any = onnx  # partly without types
    graph = library.load(str(target / GRAPH))
    (target / GRAPH).unlink()
    library.save(
        graph,
        str(target / GRAPH),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=GRAPH_DATA,
    )


def _describe(model: Any, target: Path, *, encoder_id: str, inputs: tuple[str, ...]) -> Export:
    return Export(
        folder=target,
        encoder_id=encoder_id,
        dimension=len(model.encode("dimension")),
        max_tokens=int(model.max_seq_length or model.tokenizer.model_max_length),
        inputs=inputs,
        pad_id=int(model.tokenizer.pad_token_id or 0),
        prefix=model.prompts.get(model.default_prompt_name or "", ""),
    )


def _prove_same(model: Any, made: Export) -> None:
    served = SentenceTransformerEncoder(made).encode(_SAMPLE)
    original = np.asarray(model.encode(list(_SAMPLE), normalize_embeddings=True))
    worst = float(np.min(np.sum(served * original, axis=1)))
    if not worst > _MIN_COSINE:
        raise EncoderError(f"the export gives other vectors than the model (cosine {worst:.6f})")


def _main(arguments: Sequence[str]) -> None:
    source, target, encoder_id = arguments
    warnings.simplefilter("ignore")  # of the libraries, about themselves
    try:
        export(Path(source), Path(target), encoder_id=encoder_id)
    except EncoderError as error:
        sys.exit(error.detail)


if __name__ == "__main__":
    _main(sys.argv[1:])
