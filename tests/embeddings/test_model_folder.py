"""What a model is named by, and which folders are refused."""

from pathlib import Path

import pytest

from toolcrib_embeddings.model_folder import (
    DEFAULT_WEIGHTS_SHA256,
    ModelFolder,
    check_published,
    read_bundled,
)
from toolcrib_registry.errors import EncoderError


def _folder(path: Path, *, weights: bytes = b"w", pooling: str = "mean") -> Path:
    (path / "1_Pooling").mkdir(parents=True)
    (path / "modules.json").write_text("[]")
    (path / "1_Pooling" / "config.json").write_text(pooling)
    (path / "model.safetensors").write_bytes(weights)
    (path / "README.md").write_text("not part of it")
    return path


def test_the_bundled_model_has_its_published_hash():
    assert read_bundled().weights_sha256 == DEFAULT_WEIGHTS_SHA256


def test_another_model_under_the_default_name_is_refused(tmp_path: Path):
    folder = ModelFolder.read(_folder(tmp_path / "m"))
    with pytest.raises(EncoderError, match="expected 53aa5117"):
        check_published(folder)


def test_weights_and_pooling_change_the_id_and_a_readme_does_not(tmp_path: Path):
    plain = ModelFolder.read(_folder(tmp_path / "a"), name="m")
    weights = ModelFolder.read(_folder(tmp_path / "b", weights=b"x"), name="m")
    pooling = ModelFolder.read(_folder(tmp_path / "c", pooling="max"), name="m")
    (tmp_path / "a" / "README.md").write_text("changed")
    (tmp_path / "a" / "onnx").mkdir()
    (tmp_path / "a" / "onnx" / "config.json").write_text("another form")
    assert ModelFolder.read(tmp_path / "a", name="m") == plain
    assert len({plain.encoder_id, weights.encoder_id, pooling.encoder_id}) == 3
    assert len({plain.fingerprint, weights.fingerprint, pooling.fingerprint}) == 3


def test_several_weight_files_make_one_hash(tmp_path: Path):
    folder = _folder(tmp_path / "m")
    one = ModelFolder.read(folder)
    (folder / "model-2.safetensors").write_bytes(b"more")
    assert ModelFolder.read(folder).weights_sha256 != one.weights_sha256


def test_a_folder_that_is_no_model_is_refused_by_name(tmp_path: Path):
    with pytest.raises(EncoderError, match=r"nowhere is no sentence-transformers model"):
        ModelFolder.read(tmp_path / "nowhere")


def test_a_model_without_weights_is_refused(tmp_path: Path):
    folder = _folder(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="holds no weights"):
        ModelFolder.read(folder)
