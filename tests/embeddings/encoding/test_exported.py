"""Exporting once: any model folder, once among many, and nothing left behind by a failure."""

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from toolcrib_embeddings import SentenceTransformerEncoder
from toolcrib_embeddings.encoding.exported import GRAPH_DATA, MANIFEST, Export, find_or_export
from toolcrib_embeddings.encoding.model_folder import ModelFolder
from toolcrib_registry.errors import EncoderError

from ..conftest import Originals


def test_an_unlike_model_is_exported_once_by_two_that_start_together(
    originals: Originals, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    def open_it(_: int) -> SentenceTransformerEncoder:
        return SentenceTransformerEncoder.open(tmp_path, model=originals.small_model)

    with caplog.at_level(logging.INFO), ThreadPoolExecutor(2) as threads:
        encoders = list(threads.map(open_it, range(2)))
    assert caplog.text.count("Exporting small-model") == 1
    for encoder in encoders:
        assert encoder.dimension == 24
        cosines = np.sum(encoder.encode(originals.texts) * originals.small, axis=1)
        assert cosines.min() > 0.9999
    assert not list(tmp_path.glob("*.tmp-*"))

    (export,) = [folder for folder in tmp_path.iterdir() if folder.is_dir()]
    for name in (GRAPH_DATA, MANIFEST):
        _damaged_copy_is_refused(export, tmp_path / f"damaged-{name}", name)


def _damaged_copy_is_refused(export: Path, copy: Path, name: str) -> None:
    shutil.copytree(export, copy)
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 0x80
    (copy / name).write_bytes(content)
    with pytest.raises(EncoderError, match=r"damaged|broken"):
        Export.load(copy)


def test_a_model_that_cannot_be_loaded_is_an_error_that_names_it(tmp_path: Path):
    model = tmp_path / "broken-model"
    model.mkdir()
    (model / "modules.json").write_text("[]")
    (model / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(EncoderError, match="broken-model cannot be exported to ONNX"):
        find_or_export(ModelFolder.read(model), tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.tmp-*"))


def test_a_cache_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    model = ModelFolder(path=tmp_path, name="any", weights_sha256="0" * 64, config_sha256="0" * 64)
    with pytest.raises(EncoderError, match="cache"):
        find_or_export(model, tmp_path / "cache")
