"""Exports a sentence-transformers model to ONNX: ``python -m toolcrib_embeddings.encoding.export``.

Run as a child process by `exported`, because it imports torch; the serving process never
does. Knows nothing of caches and locks.
"""

from __future__ import annotations

import argparse
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

from .delta import WeightDelta
from .encoder import SentenceTransformerEncoder
from .exported import GRAPH, GRAPH_DATA, TOKEN_VECTORS, TOKENIZER, VECTORS, Export

_MIN_COSINE = 0.9999
_SAMPLE = (
    "convert_time: Convert a time between two time zones.",
    "Find flights",
    "",
    "Été, naïve café; 東京の天気 — получить прогноз погоды?",
    "get_forecast latitude longitude " * 60,
)
_MEAN_POOLING = (["Pooling"], ["Pooling", "Normalize"])
"""The modules after the transformer, where tokens have vectors of the same kind as texts."""
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class _Pipeline(torch.nn.Module):
    """All modules of the model, its pooling and normalisation included, as one graph."""

    def __init__(self, model: Any, inputs: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.inputs = tuple(inputs)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features: dict[str, Any] = dict(zip(self.inputs, tensors, strict=True))
        for module in self.model:
            features = module(features)
        outputs = (features["sentence_embedding"], features["token_embeddings"])
        return outputs if _pools_by_mean(self.model) else outputs[:1]


def _pools_by_mean(model: Any) -> bool:
    """Whether a text's vector is the mean of its tokens' vectors, and nothing comes after."""
    _, *after = model
    modes = [getattr(module, "pooling_mode", None) for module in after]
    return [type(module).__name__ for module in after] in _MEAN_POOLING and modes[0] == "mean"


def export(source: Path, target: Path, *, encoder_id: str, tuning: Path | None = None) -> None:
    """Export the model in ``source`` into the folder ``target``, and prove that it is the same.

    ``tuning`` is a delta that is added to its weights first.

    Raises:
        EncoderError: its tokenizer is not a fast one, the delta does not fit, or the export gives
            other vectors.
    """
    model: Any = SentenceTransformer(str(source), device="cpu", local_files_only=True)
    model = model.eval().float()
    if tuning:
        add_delta(model, WeightDelta.load(tuning))
    if not getattr(model.tokenizer, "is_fast", False):
        raise EncoderError("its tokenizer has no tokenizer.json (it is not a fast tokenizer)")
    model.tokenizer.backend_tokenizer.save(str(target / TOKENIZER))
    inputs = _write_graph(model, target)
    made = _describe(model, target, encoder_id=encoder_id, inputs=inputs)
    made.dump()
    _prove_same(model, made)


def add_delta(model: Any, delta: WeightDelta) -> None:
    """Add a delta to the weights of a model's transformer, in place.

    Raises:
        EncoderError: the model has no such parameter, or one of another shape.
    """
    weights: dict[str, torch.Tensor] = dict(model[0].auto_model.named_parameters())
    for name, change in delta.changes.items():
        if name not in weights or tuple(weights[name].shape) != change.shape:
            raise EncoderError(f"the tuning changes {name}, which the model does not have so")
    with torch.no_grad():
        for name, change in delta.changes.items():
            weights[name].add_(torch.tensor(change))


def _write_graph(model: Any, target: Path) -> tuple[str, ...]:
    features = model.preprocess(list(_SAMPLE[:2]))
    inputs = tuple(name for name in _INPUTS if name in features)
    axes = {name: {0: "texts", 1: "tokens"} for name in inputs}
    outputs = [VECTORS, TOKEN_VECTORS] if _pools_by_mean(model) else [VECTORS]
    axes |= {VECTORS: {0: "texts"}, TOKEN_VECTORS: {0: "texts", 1: "tokens"}}
    exporter: Any = torch.onnx  # partly without types
    exporter.export(
        _Pipeline(model, inputs),
        tuple(features[name] for name in inputs),
        str(target / GRAPH),
        input_names=list(inputs),
        output_names=outputs,
        dynamic_axes={name: axes[name] for name in (*inputs, *outputs)},
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
        gives_tokens=_pools_by_mean(model),
    )


def _prove_same(model: Any, made: Export) -> None:
    served = SentenceTransformerEncoder(made).encode(_SAMPLE)
    original = np.asarray(model.encode(list(_SAMPLE), normalize_embeddings=True))
    worst = float(np.min(np.sum(served * original, axis=1)))
    if not worst > _MIN_COSINE:
        raise EncoderError(f"the export gives other vectors than the model (cosine {worst:.6f})")


def _read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m toolcrib_embeddings.encoding.export",
        description="Export a sentence-transformers model to ONNX.",
    )
    parser.add_argument("source", type=Path, help="the folder of the model")
    parser.add_argument("target", type=Path, help="the folder to write the export to")
    parser.add_argument("encoder_id", help="the id that the exported encoder carries")
    parser.add_argument("tuning", type=Path, nargs="?", help="what tunes its weights")
    return parser.parse_args(arguments)


def _main(arguments: Sequence[str]) -> None:
    told = _read_arguments(arguments)
    warnings.simplefilter("ignore")  # of the libraries, about themselves
    try:
        export(told.source, told.target, encoder_id=told.encoder_id, tuning=told.tuning)
    except EncoderError as error:
        sys.exit(error.detail)


if __name__ == "__main__":
    _main(sys.argv[1:])
