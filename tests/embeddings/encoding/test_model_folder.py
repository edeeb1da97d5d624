"""What a model is named by, and which folders are refused."""

from pathlib import Path

import numpy as np
import pytest

from toolcrib_embeddings.encoding.delta import WeightDelta
from toolcrib_embeddings.encoding.model_folder import (
    DEFAULT_WEIGHTS_SHA256,
    TUNING_SHA256,
    ModelFolder,
    check_published,
    read_bundled,
    read_model,
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


def _delta(file: Path, *, base: str = DEFAULT_WEIGHTS_SHA256, by: float = 1.0) -> Path:
    changes = {"w": np.full(2, by, dtype=np.float32)}
    WeightDelta(base_sha256=base, changes=changes).dump(file)
    return file


def test_a_delta_changes_the_id_and_the_fingerprint_by_name_and_content(tmp_path: Path):
    plain = read_model(Path("base"))
    assert plain == read_bundled()
    first = read_model(_delta(tmp_path / "a.safetensors"))
    other = read_model(_delta(tmp_path / "a.safetensors", by=2.0))
    assert first.encoder_id.startswith("all-MiniLM-L6-v2@53aa5117-")
    assert f"+a@{first.tuning_sha256[:8]}/" in first.encoder_id
    assert len({plain.encoder_id, first.encoder_id, other.encoder_id}) == 3
    assert len({plain.fingerprint, first.fingerprint, other.fingerprint}) == 3


def test_a_delta_of_another_model_is_refused(tmp_path: Path):
    with pytest.raises(EncoderError, match=r"a\.safetensors was trained on weights with .* ffff"):
        read_model(_delta(tmp_path / "a.safetensors", base="ff" * 32))


def test_anything_else_is_a_folder(tmp_path: Path):
    assert read_model(_folder(tmp_path / "mine")).name == "mine"


def test_the_default_is_the_bundled_model_with_the_shipped_delta():
    default = read_model(None)
    assert default.tuning_sha256 == TUNING_SHA256
    assert default.weights_sha256 == DEFAULT_WEIGHTS_SHA256


def test_the_shipped_delta_is_small_and_says_how_it_was_made():
    tuning = read_model(None).tuning
    assert tuning is not None
    assert tuning.stat().st_size < 3_000_000
    assert tuning.stat().st_mode & 0o004, "everybody may read it"
    said = WeightDelta.load(tuning).recipe
    assert said["recipe"]["steps"] == 110
    assert "metatool_single" in said["trained_on"]
