"""A delta of weights: what is written is read, in halves; what is no delta is refused."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from toolcrib_embeddings.encoding.delta import WeightDelta, read_base_sha256
from toolcrib_registry.errors import EncoderError

_CHANGE = np.array([[0.5, -0.25], [0.125, 2.0]], dtype=np.float32)


def _delta() -> WeightDelta:
    return WeightDelta(base_sha256="ab" * 32, changes={"a.weight": _CHANGE}, recipe={"steps": 3})


def test_what_is_written_is_read(tmp_path: Path):
    _delta().dump(tmp_path / "d.safetensors")
    found = WeightDelta.load(tmp_path / "d.safetensors")
    assert found.base_sha256 == read_base_sha256(tmp_path / "d.safetensors") == "ab" * 32
    assert found.recipe == {"steps": 3}
    assert found.changes.keys() == {"a.weight"}
    np.testing.assert_array_equal(found.changes["a.weight"], _CHANGE)
    assert found.changes["a.weight"].dtype == np.float32


def test_writing_leaves_nothing_else_behind(tmp_path: Path):
    _delta().dump(tmp_path / "d.safetensors")
    _delta().scaled(0.5).dump(tmp_path / "d.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["d.safetensors"]


def test_a_share_of_a_delta_changes_the_weights_by_that_share():
    np.testing.assert_array_equal(_delta().scaled(0.5).changes["a.weight"], _CHANGE / 2)


def test_a_missing_or_damaged_file_is_an_error_that_names_it(tmp_path: Path):
    (tmp_path / "bad.safetensors").write_bytes(b"nothing of the kind")
    for name in ("bad", "none"):
        with pytest.raises(EncoderError, match=f"{name}.safetensors cannot be read"):
            WeightDelta.load(tmp_path / f"{name}.safetensors")


def test_whole_weights_are_no_delta(tmp_path: Path):
    save_file({"a.weight": _CHANGE}, tmp_path / "model.safetensors")
    with pytest.raises(EncoderError, match="is no toolcrib-delta-1"):
        read_base_sha256(tmp_path / "model.safetensors")


def test_a_matrix_of_few_directions_is_kept_as_two_thin_ones(tmp_path: Path):
    chance = np.random.default_rng(5)
    few = (chance.normal(size=(96, 3)) @ chance.normal(size=(3, 80))).astype(np.float32)
    delta = WeightDelta(base_sha256="ab" * 32, changes={"few": few, "vector": few[0]})
    delta.dump(tmp_path / "thin.safetensors", rank=4)
    delta.dump(tmp_path / "thick.safetensors", rank=80)
    thin = WeightDelta.load(tmp_path / "thin.safetensors")
    assert thin.changes.keys() == {"few", "vector"}
    np.testing.assert_allclose(thin.changes["few"], few, atol=0.01)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("thin", "thick")]
    assert sizes[0] < sizes[1] / 4


_HALVES = np.ones((3, 2), np.float16)


@pytest.mark.parametrize(
    ("tensors", "recipe", "says"),
    [
        ({"a": _HALVES}, "[" * 100_000, "cannot be read"),
        ({"a": _HALVES}, "[1]", "no JSON object"),
        ({"a": np.full((3, 3), np.nan, np.float16)}, "{}", "a holds what is no number"),
        ({"a": np.full((3, 3), np.inf, np.float16)}, "{}", "a holds what is no number"),
        ({"a#tall": _HALVES}, "{}", "cannot be read"),
        ({"a#tall": _HALVES, "a#wide": _HALVES}, "{}", "cannot be read"),
        ({"a#tall": np.array(1, np.float16), "a#wide": _HALVES}, "{}", "cannot be read"),
        (
            {
                "a#tall": np.ones((200_000, 1), np.float16),
                "a#wide": np.ones((1, 200_000), np.float16),
            },
            "{}",
            "more than",
        ),
    ],
)
def test_whatever_is_wrong_with_a_delta_is_one_kind_of_error(
    tmp_path: Path, tensors: dict[str, NDArray[np.float16]], recipe: str, says: str
):
    said = {"format": "toolcrib-delta-1", "base_sha256": "x", "recipe": recipe}
    save_file(tensors, tmp_path / "d.safetensors", said)
    with pytest.raises(EncoderError, match=says):
        WeightDelta.load(tmp_path / "d.safetensors")
